import { dictionary } from "../../../words/language";
import type { Contradiction } from "./second_gateway";

/** Sentences about what a second gateway says. */
const en = {
  title: "A second gateway",
  hint: "For models that are too large for this browser. The operator of this gateway chose which gateways stand here. The one that you ask is sent the question and the answer, and computes the answer again. You have its word for it: it helps as far as the two gateways do not work together.",
  ask: (host: string) => `Ask ${host}`,
  again: (host: string) => `Ask ${host} again`,
  computing: (host: string) => `${host} computes the answer again`,
  cancel: "Cancel",
  right: (host: string) => `${host} says: right`,
  rightText: (tokens: number) =>
    `It says that it computed ${tokens} tokens again, to the last bit. This browser did not compute it.`,
  wrong: (host: string) => `${host} says: wrong`,
  contradicts: {
    order: "It judged another order than the one that this gateway names for the answer.",
    text: "The text that it judged is not the one that you read.",
    verdict: "This gateway says the opposite. One of the two is wrong, or lies: check it yourself.",
  } as Record<Contradiction, string>,
  failed: (host: string) => `${host} gave no verdict`,
};

type SecondWords = typeof en;

const pt: SecondWords = {
  title: "Um segundo gateway",
  hint: "Para modelos grandes demais para este navegador. O operador deste gateway escolheu os gateways que estão aqui. Aquele a que você pergunta recebe a pergunta e a resposta e calcula a resposta de novo. Você tem a palavra dele: ela vale enquanto os dois gateways não agirem juntos.",
  ask: (host) => `Perguntar a ${host}`,
  again: (host) => `Perguntar de novo a ${host}`,
  computing: (host) => `${host} calcula a resposta de novo`,
  cancel: "Cancelar",
  right: (host) => `${host} diz: certa`,
  rightText: (tokens) => `Diz que recalculou ${tokens} tokens até ao último bit. Este navegador não calculou nada.`,
  wrong: (host) => `${host} diz: errada`,
  contradicts: {
    order: "Julgou uma ordem diferente da que este gateway indica para a resposta.",
    text: "O texto que julgou não é o que você leu.",
    verdict: "Este gateway diz o contrário. Um dos dois erra ou mente: verifique por si.",
  },
  failed: (host) => `${host} não deu veredito`,
};

const ko: SecondWords = {
  title: "두 번째 게이트웨이",
  hint: "이 브라우저에는 너무 큰 모델을 위한 것입니다. 여기 있는 게이트웨이는 이 게이트웨이의 운영자가 골랐습니다. 묻는 게이트웨이에 질문과 답을 보내며, 그 게이트웨이가 답을 다시 계산합니다. 그 게이트웨이의 말일 뿐이며, 두 게이트웨이가 짜지 않았을 때만 도움이 됩니다.",
  ask: (host) => `${host}에 묻기`,
  again: (host) => `${host}에 다시 묻기`,
  computing: (host) => `${host}이(가) 답을 다시 계산합니다`,
  cancel: "취소",
  right: (host) => `${host}의 말: 맞음`,
  rightText: (tokens) =>
    `토큰 ${tokens}개를 마지막 비트까지 다시 계산했다고 합니다. 이 브라우저는 계산하지 않았습니다.`,
  wrong: (host) => `${host}의 말: 틀림`,
  contradicts: {
    order: "이 게이트웨이가 답에 대해 말한 것과 다른 주문을 판정했습니다.",
    text: "판정한 글이 읽으신 글과 다릅니다.",
    verdict: "이 게이트웨이는 반대로 말합니다. 둘 중 하나가 틀렸거나 거짓말합니다. 직접 확인하세요.",
  },
  failed: (host) => `${host}이(가) 판정하지 않았습니다`,
};

export const secondWordsOf = dictionary({ en, pt, ko });
