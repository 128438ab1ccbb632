/** What runs in a saved page: one script, built apart from the widget of notebooks. */

import { followScheme, start } from "./saved_page";

followScheme(document, matchMedia("(prefers-color-scheme: dark)"));
start(document);
