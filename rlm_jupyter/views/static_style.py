"""The style sheet of the static tree: Lab's colours where there are any, else light or dark as the reader has it."""

STYLE = """
.jp-OutputArea-child:has(+ .jp-OutputArea-child .rlm-static) > .jp-OutputArea-output.jupyter-widgets:not(:has(*)),
.jp-OutputArea-child:has(+ .jp-OutputArea-child .rlm-after-widget) > .jp-OutputArea-output.lm-Panel:not(:has(*)),
.jp-OutputArea-child:has(+ .jp-OutputArea-child .rlm-after-widget) > .jp-OutputArea-output[data-mime-type="text/plain"]
{display:none}
.rlm-static{--f:#1f2328;--d:#59636e;--b:#d1d9e0;--c:#f6f8fa;--e:#b3261e;
--rf:var(--jp-content-font-color1,var(--vscode-editor-foreground,var(--f)));
--rd:var(--jp-content-font-color2,var(--vscode-descriptionForeground,var(--d)));
--rb:var(--jp-border-color2,var(--vscode-panel-border,var(--b)));
--rc:var(--jp-layout-color2,var(--vscode-textCodeBlock-background,var(--c)));
color:var(--rf);font-size:13px;line-height:1.5;overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){.rlm-static{--f:#e6edf3;--d:#9198a1;--b:#3d444d;--c:#151b23;
--e:#ff8a80}}
.rlm-static details{margin:2px 0}
.rlm-static summary{cursor:pointer}
.rlm-static.rlm-static .rlm-s-body{margin:0 0 0 7px;padding:0 0 0 12px;border:0 solid var(--rb);border-left-width:1px;
color:inherit;font:inherit;background:none}
.rlm-static .rlm-s-question{white-space:pre-wrap}
.rlm-static .rlm-s-dim{color:var(--rd)}
.rlm-static .rlm-s-card{margin:6px 0;padding:8px 12px;border:1px solid var(--rb);border-left:3px solid var(--rd);
border-radius:4px}
.rlm-static .rlm-s-card .rlm-s-dim{font-size:12px}
.rlm-static .rlm-s-answer{margin:4px 0;font-size:14px}
.rlm-static.rlm-static .rlm-s-card :is(p,ul,ol){margin:4px 0;padding-top:0;padding-bottom:0}
.rlm-static.rlm-static .rlm-s-answer p,.rlm-static .rlm-s-answer li{max-width:76ch;white-space:pre-wrap}
.rlm-static .rlm-s-big{font-size:26px;line-height:1.3}
.rlm-static.rlm-static .rlm-s-wide :is(td,th){text-align:left}
.rlm-static.rlm-static .rlm-s-wide .rlm-s-number{text-align:right}
.rlm-static.rlm-static .rlm-s-record{width:auto;max-width:100%}
.rlm-static.rlm-static .rlm-s-record>*>tr>td{border-width:0 0 1px;padding:3px 14px 3px 0;vertical-align:top;
text-align:left;background:none}
.rlm-static .rlm-s-record>*>tr>td:first-child{color:var(--rd)}
.rlm-static .rlm-s-in-1{margin-left:16px}.rlm-static .rlm-s-in-2{margin-left:32px}
.rlm-static .rlm-s-in-3{margin-left:48px}.rlm-static .rlm-s-in-4{margin-left:64px}
.rlm-static .rlm-s-wide{overflow-x:auto}
.rlm-static .rlm-s-wide td,.rlm-static .rlm-s-wide th{white-space:nowrap}
.rlm-static.rlm-static .rlm-s-record p{margin:0}
.rlm-static.rlm-static .rlm-s-answer blockquote{margin:4px 0;padding:0 0 0 10px;border:0 solid var(--rb);
border-left-width:2px;color:var(--rd);font:inherit;background:none;white-space:pre-wrap}
.rlm-static img{max-width:100%;height:auto;background:#fff}
.rlm-static .rlm-s-note{color:var(--rd);font-style:italic}
.rlm-static .rlm-s-error{color:var(--jp-error-color1,var(--e));white-space:pre-wrap}
.rlm-static .rlm-s-failed{color:var(--jp-error-color1,var(--e))}
.rlm-static.rlm-static pre{margin:4px 0;padding:4px 8px;white-space:pre-wrap;background:var(--rc);color:var(--rf);
max-height:24em;overflow:auto;font-size:12px;font-family:var(--jp-code-font-family,ui-monospace,monospace)}
.rlm-static.rlm-static .rlm-s-reply{background:none;border-left:2px solid var(--rb)}
.rlm-static.rlm-static .rlm-s-output{background:none}
.rlm-static table{border-collapse:collapse;margin:4px 0;font-size:12px}
.rlm-static td,.rlm-static th{border:1px solid var(--rb);padding:1px 6px;text-align:left}
"""
