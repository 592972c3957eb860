import { dictionary } from "../../words/language";
import { english } from "./words_en";
import { korean } from "./words_ko";
import { portuguese } from "./words_pt";

export const words = dictionary<typeof english>({ en: english, pt: portuguese, ko: korean });
