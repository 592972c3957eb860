import { render } from "preact";
import { shareSession } from "./api/other_tabs";
import "./design/style.css";
import { followLinks } from "./router";
import { Shell } from "./shell/shell";
import { showTheme } from "./shell/theme";
import { chooseLanguage, language } from "./words/language";

showTheme();
chooseLanguage(language.value);
followLinks();
shareSession();
const page = document.getElementById("page");
if (page) render(<Shell />, page);
