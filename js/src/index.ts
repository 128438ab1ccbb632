/** The anywidget module: the only file that knows anywidget. One call of the factory is one model. */

import type { AnyModel, Initialize, Render } from "@anywidget/types";
import { cellInserter } from "./notebook_cell";
import type { Incoming } from "./state/protocol";
import { Session } from "./state/session";
import { View } from "./tree/run_view";

export default (): { initialize: Initialize; render: Render } => {
  let session: Session | null = null;

  function open(model: AnyModel): Session {
    const made = new Session({
      // Custom messages only: a written trait may be held back as long as an awaited cell runs.
      send: (message) => {
        try {
          model.send(message);
        } catch {
          // The comm is closed; `comm_live_update` has said so.
        }
      },
      now: () => Date.now(),
      later: (action, milliseconds) => setTimeout(action, milliseconds),
    });
    model.on("msg:custom", (message: Incoming) => made.receive(message));
    // An event of ipywidgets' models: Jupyter's frontends close all comms when a kernel restarts or ends.
    model.on("comm_live_update", () => made.disconnected());
    made.insertCell = cellInserter(model);
    return made;
  }

  return {
    initialize({ model }) {
      session = open(model);
    },
    render({ model, el, signal }) {
      session ??= open(model);
      const end = new View(session).mount(el);
      session.hello();
      // Older versions of anywidget give no signal, but call what is returned; ending twice is harmless.
      signal?.addEventListener("abort", end, { once: true });
      return end;
    },
  };
};
