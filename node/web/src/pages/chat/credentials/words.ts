import { dictionary } from "../../../words/language";

export const words = dictionary({
  en: {
    title: "Who pays for the answers?",
    why: "Nodes are paid for every token, so the gateway has to know whose credit it is.",
    key: "API key",
    hint: "It begins with sk-nexus-. It stays in this tab, and only this gateway gets it.",
    use: "Use this key",
    bad: "This is no API key: it has no spaces and only ASCII characters.",
    orWallet: "Or sign in with a wallet",
  },
  pt: {
    title: "Quem paga as respostas?",
    why: "Os nós são pagos por cada token; o gateway precisa de saber de quem é o crédito.",
    key: "Chave de API",
    hint: "Começa por sk-nexus-. Fica neste separador e só este gateway a recebe.",
    use: "Usar esta chave",
    bad: "Isto não é uma chave de API: não tem espaços e só tem caracteres ASCII.",
    orWallet: "Ou entre com uma carteira",
  },
  ko: {
    title: "답의 비용은 누가 내나요?",
    why: "노드는 토큰마다 보수를 받으므로, 게이트웨이는 누구의 크레딧인지 알아야 합니다.",
    key: "API 키",
    hint: "sk-nexus-로 시작합니다. 이 탭에만 남고, 이 게이트웨이에만 보냅니다.",
    use: "이 키 사용",
    bad: "API 키가 아닙니다. 공백 없이 ASCII 문자로만 되어 있어야 합니다.",
    orWallet: "또는 지갑으로 로그인",
  },
});
