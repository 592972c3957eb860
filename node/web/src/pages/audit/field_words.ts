import { language, type Language } from "../../words/language";

type InEach = readonly [en: string, pt: string, ko: string];
const ORDER: readonly Language[] = ["en", "pt", "ko"];

/** In the order that a person reads them: what it is, how well it does, what it was made of. */
const SECTIONS: Record<string, InEach> = {
  model: ["Model", "Modelo", "모델"],
  metrics: ["Measured on held-out data", "Medido em dados reservados", "따로 둔 데이터로 잰 값"],
  evaluation: ["Evaluation", "Avaliação", "평가"],
  parent: ["Parent version", "Versão de origem", "부모 버전"],
  data: ["Data", "Dados", "데이터"],
  dataset: ["Dataset", "Conjunto de dados", "데이터셋"],
  judge: ["Judge", "Juiz", "판정기"],
  teachers: ["Teachers", "Professores", "교사"],
  cost_usd: ["Cost of all teachers", "Custo de todos os professores", "교사 전체 비용"],
  lost: ["Lost calls of all teachers", "Chamadas perdidas de todos os professores", "교사 전체의 잃은 요청"],
  training: ["Training", "Treino", "훈련"],
  toolchain: ["Programs that made it", "Programas que o fizeram", "만든 프로그램"],
  format: ["Format", "Formato", "형식"],
};

/** By the last part of a field's path: a name means one thing wherever it stands. */
const FIELDS: Record<string, InEach> = {
  name: ["Name", "Nome", "이름"],
  version: ["Version", "Versão", "버전"],
  model_version: ["Id in the registry", "Identificador no registo", "등록부의 ID"],
  parent: ["Came from version", "Veio da versão", "유래한 버전"],
  publisher: ["Publisher", "Quem publica", "게시자"],
  layers: ["Layers", "Camadas", "레이어 수"],
  weights_root: ["Root of the weights", "Raiz dos pesos", "가중치의 루트"],
  program_root: ["Root of the program", "Raiz do programa", "프로그램의 루트"],
  tokenizer_sha256: ["SHA-256 of the tokenizer", "SHA-256 do tokenizador", "토크나이저의 SHA-256"],
  manifest: ["Manifest", "Manifesto", "매니페스트"],
  certificate: ["Its certificate", "O seu certificado", "그 인증서"],
  listing: ["Listing of the files", "Lista dos ficheiros", "파일 목록"],
  source: ["Source", "Origem", "출처"],
  licence: ["Licence", "Licença", "라이선스"],
  training_root: ["Root of the training files", "Raiz dos ficheiros de treino", "훈련 파일의 루트"],
  training_files: ["Training files", "Ficheiros de treino", "훈련 파일 수"],
  training_tokens: ["Training tokens", "Tokens de treino", "훈련 토큰 수"],
  held_out_root: ["Root of the held-out files", "Raiz dos ficheiros reservados", "따로 둔 파일의 루트"],
  held_out_files: ["Held-out files", "Ficheiros reservados", "따로 둔 파일 수"],
  held_out_tokens: ["Held-out tokens", "Tokens reservados", "따로 둔 토큰 수"],
  sample: ["Sample", "Amostra", "표본"],
  window: ["Tokens of a window", "Tokens de uma janela", "창 하나의 토큰 수"],
  tokens: ["Tokens measured", "Tokens medidos", "잰 토큰 수"],
  perplexity_float32: ["Perplexity in float32", "Perplexidade em float32", "float32 퍼플렉시티"],
  perplexity_integer: [
    "Perplexity of the integer program",
    "Perplexidade do programa de inteiros",
    "정수 프로그램 퍼플렉시티",
  ],
  hits_float32: ["Right tokens in float32", "Tokens certos em float32", "float32가 맞힌 토큰"],
  hits_integer: [
    "Right tokens of the integer program",
    "Tokens certos do programa de inteiros",
    "정수 프로그램이 맞힌 토큰",
  ],
  agreements: ["Tokens where both agree", "Tokens em que ambos concordam", "둘이 일치한 토큰"],
  window_hits: ["Right tokens by window", "Tokens certos por janela", "창별 맞힌 토큰"],
  cid: ["CID", "CID", "CID"],
  sha256: ["SHA-256", "SHA-256", "SHA-256"],
  size: ["Size", "Tamanho", "크기"],
  root: ["Root", "Raiz", "루트"],
  examples: ["Examples", "Exemplos", "예제 수"],
  verified: ["Proved examples", "Exemplos provados", "증명된 예제"],
  tier: ["Tier", "Nível", "등급"],
  vacuous: ["Vacuous verdicts", "Veredictos vazios", "공허한 판정"],
  artefact_count: ["Texts that prove", "Textos que provam", "증명 텍스트 수"],
  artefacts_root: ["Root of these texts", "Raiz desses textos", "그 텍스트의 루트"],
  verdicts_root: ["Root of the verdicts", "Raiz dos veredictos", "판정의 루트"],
  z3_rlimit: ["Z3's limit", "Limite do Z3", "Z3 한도"],
  cvc5_rlimit: ["cvc5's limit", "Limite do cvc5", "cvc5 한도"],
  memory_bytes: ["Memory of a solver", "Memória de um solver", "솔버의 메모리"],
  seconds: ["Time for a text", "Tempo por texto", "텍스트당 시간"],
  provider: ["Provider", "Fornecedor", "제공자"],
  model: ["Model", "Modelo", "모델"],
  answers: ["Answers", "Respostas", "답변"],
  accepted: ["Accepted", "Aceites", "채택됨"],
  refuted: ["Refuted", "Refutadas", "반박됨"],
  cost_usd: ["Cost", "Custo", "비용"],
  lost: ["Lost calls", "Chamadas perdidas", "잃은 요청"],
  cpu_class: ["Class of processors", "Classe de processadores", "프로세서 종류"],
  parameters: ["Parameters", "Parâmetros", "파라미터 수"],
  tokens_seen: ["Tokens seen", "Tokens vistos", "본 토큰 수"],
  threads: ["Threads", "Threads", "스레드 수"],
  total: ["Problems", "Problemas", "문제 수"],
  max_tokens: ["Tokens of an answer, at most", "Tokens de uma resposta, no máximo", "답변의 최대 토큰"],
  metric: ["What counts as right", "O que conta como certo", "정답 기준"],
  hits: ["Right answers", "Respostas certas", "정답"],
  hit_bits: ["Which were right", "Quais estavam certas", "정답 표시"],
  accuracy: ["Accuracy", "Exatidão", "정확도"],
  accuracy_low: ["Accuracy, lower end (95 %)", "Exatidão, limite inferior (95 %)", "정확도 하한 (95 %)"],
  accuracy_high: ["Accuracy, upper end (95 %)", "Exatidão, limite superior (95 %)", "정확도 상한 (95 %)"],
  losses: ["Losses by problem", "Perdas por problema", "문제별 손실"],
  answer_tokens: ["Tokens of the expected answers", "Tokens das respostas esperadas", "기대 답변의 토큰"],
  loss: ["Loss", "Perda", "손실"],
  perplexity: ["Perplexity", "Perplexidade", "퍼플렉시티"],
  curve: ["Curve of the loss", "Curva da perda", "손실 곡선"],
  step: ["Step", "Passo", "단계"],
  training: ["Training loss", "Perda no treino", "훈련 손실"],
  held_out: ["Held-out loss", "Perda em dados reservados", "따로 둔 데이터의 손실"],
  attention_input: ["Attention's input", "Entrada da atenção", "어텐션 입력"],
  attention_output: ["Attention's output", "Saída da atenção", "어텐션 출력"],
  mlp_input: ["MLP's input", "Entrada da MLP", "MLP 입력"],
  down: ["MLP's inner row", "Linha interna da MLP", "MLP 내부"],
  head: ["Input of the last product", "Entrada do último produto", "마지막 곱의 입력"],
};

/** What stands before a field of the same name: of which of several things it is. */
const OWNERS: Record<string, InEach> = {
  activation_bits: ["bits of activations", "bits das ativações", "활성값 비트"],
  run: ["settings", "definições", "설정"],
  configuration: ["settings", "definições", "설정"],
  seeds: ["seeds", "sementes", "시드"],
  libraries: ["libraries", "bibliotecas", "라이브러리"],
  solvers: ["solvers", "solvers", "솔버"],
  outcomes: ["verdicts", "veredictos", "판정"],
  before: ["parent", "versão de origem", "부모"],
  after: ["this version", "esta versão", "이 버전"],
  file: ["file", "ficheiro", "파일"],
  verdicts: ["verdicts", "veredictos", "판정"],
  artefacts: ["artefacts", "artefactos", "증명물"],
  problems: ["problems", "problemas", "문제"],
  adapter: ["adapter", "adaptador", "어댑터"],
  adapter_config: ["adapter's settings", "definições do adaptador", "어댑터 설정"],
};

/** Units, by the last part of a field's path. */
const UNITS: Record<string, string> = {
  size: "bytes",
  memory_bytes: "bytes",
  seconds: "s",
  cost_usd: "USD",
  loss: "nat/token",
  losses: "10⁻³ nat",
};
const SHARES = new Set(["accuracy", "accuracy_low", "accuracy_high"]);

/** The sections of a certificate; those that the page does not know come last. */
export function inReadingOrder(content: Readonly<Record<string, unknown>>): [string, unknown][] {
  const known = Object.keys(SECTIONS);
  const rank = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length);
  return Object.entries(content).sort(([one], [other]) => rank(one) - rank(other));
}

/** A section's heading; its own name where the page has no word for it. */
export function sectionTitle(name: string): string {
  return inLanguage(SECTIONS[name]) ?? name;
}

/** A field's label: what it is, and of which thing. */
export function fieldLabel(path: string): string {
  const parts = path.split(".");
  const last = parts.at(-1) ?? "";
  const owner = parts.slice(1, -1).map((part) => inLanguage(OWNERS[part]) ?? part);
  const label = inLanguage(FIELDS[last]) ?? last;
  return owner.length > 0 ? `${label} (${owner.join(", ")})` : label;
}

/** A value with its unit: shares of one as per cent, numbers with the separators of the language. */
export function valueWithUnit(path: string, value: string): string {
  const last = path.split(".").at(-1) ?? "";
  if (SHARES.has(last) && /^[01](\.\d+)?$/.test(value)) {
    return Number(value).toLocaleString(language.value, { style: "percent", maximumFractionDigits: 2 });
  }
  const shown = /^\d{5,15}$/.test(value) ? Number(value).toLocaleString(language.value) : value;
  const unit = UNITS[last];
  return unit && value !== "" ? `${shown} ${unit}` : shown;
}

function inLanguage(words: InEach | undefined): string | undefined {
  return words?.[ORDER.indexOf(language.value)];
}
