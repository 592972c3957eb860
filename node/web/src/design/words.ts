import { dictionary } from "../words/language";

export const words = dictionary({
  en: {
    copy: "Copy",
    copied: "Copied",
    loading: "Loading …",
    failed: "This did not work",
    again: "Try again",
    unreachable: "The gateway cannot be reached. Is it running? What you see may be old.",
  },
  pt: {
    copy: "Copiar",
    copied: "Copiado",
    loading: "A carregar …",
    failed: "Não funcionou",
    again: "Tentar de novo",
    unreachable: "O gateway não responde. Está a correr? O que vê pode ser antigo.",
  },
  ko: {
    copy: "복사",
    copied: "복사됨",
    loading: "불러오는 중 …",
    failed: "실패했습니다",
    again: "다시 시도",
    unreachable: "게이트웨이에 연결할 수 없습니다. 실행 중인가요? 보이는 내용이 오래되었을 수 있습니다.",
  },
});
