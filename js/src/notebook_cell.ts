/** Puts code into a new cell of the notebook, in JupyterLab and Notebook 7: where a widget's manager has the document. */

interface SharedNotebook {
  readonly cells: readonly unknown[];
  insertCell(index: number, cell: { cell_type: "code"; source: string }): unknown;
}

type Insert = (behind: Element, source: string) => boolean;

/** What inserts a cell; null where the frontend does not let a widget reach its notebook (VS Code, Colab, marimo). */
export function cellInserter(model: unknown): Insert | null {
  if (sharedOf(model) === null) return null;
  return (behind, source) => {
    const shared = sharedOf(model);
    if (shared === null) return false;
    shared.insertCell(Math.min(indexBehind(behind) ?? shared.cells.length, shared.cells.length), {
      cell_type: "code",
      source,
    });
    return true;
  };
}

/** No public way leads from a widget to its notebook: `context` is a property of JupyterLab's manager of widgets. */
function sharedOf(model: unknown): SharedNotebook | null {
  let at: unknown = model;
  for (const name of ["widget_manager", "context", "model", "sharedModel"]) {
    if (typeof at !== "object" || at === null) return null;
    at = (at as Record<string, unknown>)[name];
  }
  const shared = at as Partial<SharedNotebook> | null | undefined;
  return typeof shared?.insertCell === "function" && Array.isArray(shared.cells)
    ? (shared as SharedNotebook)
    : null;
}

/** The place behind the cell that an element stands in; null for a view outside of a notebook. */
function indexBehind(element: Element): number | null {
  const cell = element.closest<HTMLElement>(".jp-Cell");
  const notebook = cell?.closest(".jp-Notebook");
  if (!cell || !notebook) return null;
  // A notebook that draws only what is in view numbers its cells.
  const known = Number.parseInt(cell.dataset.windowedListIndex ?? "", 10);
  return (Number.isNaN(known) ? [...notebook.querySelectorAll(".jp-Cell")].indexOf(cell) : known) + 1;
}
