import { dictionary } from "../../words/language";

/** Titles of the audit's steps, as `nexus audit` says them, in each language. A Python test holds both lists together. */
const steps = dictionary<Record<string, string>>({
  en: {},
  pt: {
    "bytes match the CID and are canonical": "os bytes correspondem ao CID e são canónicos",
    "certificate schema": "esquema do certificado",
    "publisher's signature": "assinatura de quem publica",
    "anchored on-chain": "ancorado na cadeia",
    "model registry agrees": "o registo de modelos concorda",
    "data listing": "lista dos dados",
    "checkpoint and tokenizer": "checkpoint e tokenizador",
    "integer program": "programa de inteiros",
    "overflow proof": "prova de que nada transborda",
    "held-out metrics": "métricas em dados reservados",
    "training record": "registo do treino",
    "parent version": "versão de origem",
    dataset: "conjunto de dados",
    "judge's statistics": "estatísticas do juiz",
    "sampled examples": "exemplos sorteados",
    "re-judged verdicts": "veredictos julgados de novo",
    "teachers and cost": "professores e custo",
    tier: "nível",
    "evaluation figures": "números da avaliação",
    "re-evaluation by the integer engine": "nova avaliação pelo motor de inteiros",
    "deployment rule": "regra para pôr em uso",
    adapter: "adaptador",
    "re-training": "novo treino",
  },
  ko: {
    "bytes match the CID and are canonical": "바이트가 CID와 같고 표준 형식임",
    "certificate schema": "인증서 형식",
    "publisher's signature": "게시자의 서명",
    "anchored on-chain": "체인에 등록됨",
    "model registry agrees": "모델 등록부와 일치",
    "data listing": "데이터 목록",
    "checkpoint and tokenizer": "체크포인트와 토크나이저",
    "integer program": "정수 프로그램",
    "overflow proof": "오버플로가 없다는 증명",
    "held-out metrics": "따로 둔 데이터의 수치",
    "training record": "훈련 기록",
    "parent version": "부모 버전",
    dataset: "데이터셋",
    "judge's statistics": "판정기의 통계",
    "sampled examples": "뽑은 예제",
    "re-judged verdicts": "다시 내린 판정",
    "teachers and cost": "교사와 비용",
    tier: "등급",
    "evaluation figures": "평가 수치",
    "re-evaluation by the integer engine": "정수 엔진으로 다시 평가",
    "deployment rule": "배포 규칙",
    adapter: "어댑터",
    "re-training": "다시 훈련",
  },
});

/** A step's title in the language in use; as it was said, where the page does not know it. */
export function stepTitle(title: string): string {
  return steps()[title] ?? title;
}
