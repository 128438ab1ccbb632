// A stand-in for the kernel: recorded-looking messages for each scene, so that the bundle can be looked at alone.

const T0 = 1_795_000_000;

const CODE = `import re
by_week = (
    context.assign(week=context["date"].dt.to_period("W").dt.start_time)
    .groupby(["supplier", "week"], observed=True)["refund"]
    .agg(["sum", "count"])  # one row per supplier and week
    .reset_index()
)
print(by_week.sort_values("sum", ascending=False).head(3))
parts = [by_week[by_week.supplier == s] for s in by_week.supplier.unique()]
verdicts = rlm_query_batched([f"When did the refunds of {s!r} begin to rise?" for s in names], parts)`;

const OUTPUT = `     supplier       week       sum  count
412  Norrland 2025-09-08  81240.50   1204
413  Norrland 2025-09-15  79914.25   1187
411  Norrland 2025-09-01  42117.00    801`;

function row(id, question, status, more = {}) {
  const dot = id.lastIndexOf(".");
  return {
    id,
    parent: dot < 0 ? null : id.slice(0, dot),
    depth: id.split(".").length - 1,
    question,
    name: null,
    status,
    activity: "",
    model: id === "0" ? "openai/gpt-5" : "openai/gpt-5-mini",
    turns: 2,
    cells: 2,
    sub_calls: 0,
    input_tokens: 2140,
    output_tokens: 388,
    cost: 0.0021,
    cost_total: 0.0021,
    started: T0 + 2,
    elapsed: 6.4,
    value: null,
    error: null,
    variables: 3,
    rev: 1,
    pending_code: null,
    spans: null,
    ...more,
  };
}

const run = (more) => ({
  id: "r1",
  question: "Which supplier explains the rise in refunds, and since when?",
  status: "running",
  model: "openai/gpt-5",
  sub_model: "openai/gpt-5-mini",
  scripted: false,
  started: T0,
  elapsed: 14.2,
  cost: 0.0421,
  cost_limit: 1.0,
  input_tokens: 38210,
  output_tokens: 3904,
  token_limit: 200000,
  calls: 19,
  call_limit: 100,
  agents: 9,
  depth: 2,
  in_flight: 3,
  context_bytes: 48_000_128,
  context_summary: "DataFrame 1,000,000 × 6, 48.0 MB",
  seen_tokens: 3412,
  sandbox: "landlock + seccomp, no network",
  values: { memory: 1_200_000_000, disk: 300_000_000, shared: 0, limit: 2_000_000_000 },
  value: null,
  error: null,
  notices: [],
  provenance: null,
  clicks: true,
  step: false,
  ...more,
});

function spans(from, list) {
  let at = T0 + from;
  return list.map(([kind, seconds]) => {
    const start = at;
    at += seconds;
    return [kind, start, at];
  });
}

function tree() {
  return [
    row("0", "Which supplier explains the rise in refunds, and since when?", "running", {
      activity: "children",
      turns: 3,
      cost: 0.0118,
      cost_total: 0.0421,
      input_tokens: 8120,
      output_tokens: 1204,
      started: T0,
      elapsed: 14.2,
      variables: 6,
      spans: spans(0, [
        ["model", 2.1],
        ["code", 0.6],
        ["model", 1.4],
        ["code", 0.2],
        ["wait", 9.9],
      ]),
    }),
    row("0.1", "When did the refunds of 'Norrland' begin to rise?", "done", {
      turns: 4,
      cost: 0.0064,
      cost_total: 0.0112,
      started: T0 + 4.3,
      elapsed: 6.8,
      spans: spans(4.3, [
        ["model", 1.5],
        ["code", 0.3],
        ["wait", 3.1],
        ["model", 1.6],
        ["code", 0.3],
      ]),
    }),
    row("0.1.1", "Is the rise of September a change of the price or of the count?", "done", {
      cost: 0.0026,
      cost_total: 0.0026,
      started: T0 + 6.2,
      elapsed: 2.9,
      spans: spans(6.2, [
        ["model", 2.2],
        ["code", 0.7],
      ]),
    }),
    row("0.1.2", "Which warehouses took the returned goods?", "done", {
      cost: 0.0022,
      cost_total: 0.0022,
      started: T0 + 6.2,
      elapsed: 2.2,
      spans: spans(6.2, [
        ["model", 1.9],
        ["code", 0.3],
      ]),
    }),
    row("0.2", "When did the refunds of 'Alpenrad' begin to rise?", "failed", {
      error:
        "AgentError: the model gave no code in 3 turns. Ask again with `retry`, or give it a stronger model.",
      cost: 0.0049,
      cost_total: 0.0049,
      turns: 3,
      started: T0 + 4.3,
      elapsed: 4.1,
      spans: spans(4.3, [["model", 4.1]]),
    }),
    row("0.3", "When did the refunds of 'Cobalt & Sons' begin to rise?", "running", {
      activity: "model",
      started: T0 + 4.4,
      elapsed: 9.8,
      spans: [
        ...spans(4.4, [
          ["model", 2.2],
          ["code", 1.2],
          ["wait", 1.4],
        ]),
        ["model", T0 + 9.2, null],
      ],
    }),
    row("0.4", "When did the refunds of 'Dunmore' begin to rise?", "running", {
      activity: "code",
      started: T0 + 4.4,
      elapsed: 9.8,
      spans: [...spans(4.4, [["model", 5.2]]), ["code", T0 + 9.6, null]],
    }),
    row("0.5", "When did the refunds of 'Ekberg' begin to rise?", "running", {
      activity: "rate_limit",
      turns: 0,
      cost: null,
      cost_total: null,
      input_tokens: 0,
      output_tokens: 0,
      started: T0 + 4.5,
      elapsed: 9.7,
      spans: [["wait", T0 + 4.5, null]],
    }),
    row("0.6", "When did the refunds of 'Fjordkraft' begin to rise?", "stopped", {
      turns: 1,
      started: T0 + 4.5,
      elapsed: 1.6,
      spans: spans(4.5, [["model", 1.6]]),
    }),
  ];
}

const FRAME = {
  type: "DataFrame",
  summary: "DataFrame 212 × 4, 27.1 kB",
  shape: [212, 4],
  bytes: 27136,
  columns: [
    { name: "supplier", dtype: "str", nulls: 0 },
    { name: "week", dtype: "datetime64[us]", nulls: 0 },
    { name: "sum", dtype: "float64", nulls: 3 },
    { name: "count", dtype: "int64", nulls: 0 },
  ],
  rows: [
    ["Norrland", "2025-09-08", "81240.50", "1204"],
    ["Norrland", "2025-09-15", "79914.25", "1187"],
    ["Alpenrad", "2025-09-01", "42117.00", "801"],
  ],
};

/** What every turn has; of the protocol's fields only these differ from turn to turn. */
const TURN = { shortened: 0, tool_calls: [], tools_called: 0, estimated: false, error: null };

function detail(agent) {
  return {
    question: agent.question,
    context: { type: "DataFrame", summary: "DataFrame 1,000,000 × 6, 48.0 MB", ...FRAME, name: undefined },
    turns: [
      {
        ...TURN,
        turn: 1,
        sent_chars: 4120,
        reply: `I look at the refunds per supplier and week first, then give each supplier to a sub-agent.\n\n\`\`\`repl\n${CODE}\n\`\`\`\n`,
        cells: [
          {
            cell: 1,
            code: CODE,
            output: OUTPUT,
            cut: 4120,
            status: "ok",
            error: null,
            seconds: 0.61,
            pictures: [],
          },
        ],
        input_tokens: 2140,
        output_tokens: 388,
        cost: 0.0042,
        model: agent.model,
        finish_reason: "stop",
        cached: false,
        started: T0,
        seconds: 2.1,
        streaming: false,
      },
      {
        ...TURN,
        turn: 2,
        sent_chars: 5210,
        reply: "The names were never set. I set them and ask again.\n\n```repl\nverdicts[0].shape\n```",
        cells: [
          {
            cell: 2,
            code: "verdicts[0].shape",
            output: "",
            cut: 0,
            status: "error",
            error: "NameError: name 'verdicts' is not defined\n  cell 2, line 1: verdicts[0].shape",
            seconds: 0.02,
          },
        ],
        input_tokens: 3120,
        output_tokens: 112,
        cost: 0.0031,
        model: agent.model,
        finish_reason: "stop",
        cached: true,
        started: T0 + 3,
        seconds: 1.4,
        streaming: false,
      },
      {
        ...TURN,
        turn: 3,
        sent_chars: 6120,
        reply:
          "Each supplier goes to its own sub-agent now; the rise will show as the first week above three",
        cells: [],
        input_tokens: 3320,
        output_tokens: 61,
        cost: null,
        model: agent.model,
        finish_reason: null,
        cached: false,
        started: T0 + 5,
        seconds: null,
        streaming: agent.status === "running",
        tools_called: 7,
        tool_calls: [
          { name: "find_supplier", seconds: 0.12, ok: true },
          { name: "exchange_rate", seconds: 2.04, ok: false, error: "TimeoutError: no answer in 2 s" },
        ],
      },
    ],
    tools: ["find_supplier", "exchange_rate"],
    sub_calls: [
      {
        call: 1,
        prompt: "Say in one sentence what a refund ratio is.",
        reply: "The share of …",
        input_tokens: 40,
        output_tokens: 22,
        cost: 0.0001,
        status: "done",
        purpose: "llm_query",
        cached: true,
      },
      {
        call: 2,
        prompt: "Is 'Norrland AB' the same as 'Norrland'?",
        reply: null,
        input_tokens: 38,
        output_tokens: 0,
        cost: null,
        status: "failed",
        purpose: "fallback",
      },
    ],
    variables: [
      {
        name: "context",
        type: "DataFrame",
        summary: "DataFrame 1,000,000 × 6, 48.0 MB",
        shape: [1000000, 6],
        bytes: 48000128,
        turn: 0,
        place: "shared",
      },
      { name: "by_week", turn: 1, ...FRAME },
      {
        name: "names",
        type: "list",
        summary: "list of 6 str",
        length: 6,
        bytes: 380,
        preview: "['Norrland', 'Alpenrad', 'Cobalt & Sons', 'Dunmore', 'Ekberg', 'Fjordkraft']",
        turn: 2,
      },
      { name: "total", type: "float", summary: "float 412,331.25", preview: "412331.25", turn: 2 },
    ],
    notices: agent.id === "0.2" ? ["A reply without code was answered with a reminder."] : [],
    value:
      agent.status === "done"
        ? {
            type: "dict",
            summary: "dict of 24 keys, 27.4 kB",
            length: 24,
            free_name: `value_${agent.id.replace(/\./g, "_")}`,
            items: [
              { key: "supplier", type: "str", bytes: 57, summary: "'Norrland'" },
              { key: "since", type: "Timestamp", bytes: 48, summary: "Timestamp('2025-09-01')" },
              { key: "weeks", type: "DataFrame", bytes: 27136, summary: "DataFrame 212 x 4, 27.1 kB" },
              { key: "reasons", type: "list", bytes: 184, summary: "['seal broken', 'leaking bottle']" },
            ],
          }
        : null,
    error: agent.error,
  };
}

const HOSTILE = [
  "<img src=x onerror=window.hacked=1>",
  "</script><script>window.hacked=1</script>",
  "\u202egnp.exe \u2066 bidi",
  "\u0000 NUL \u001b[31mred\u001b[0m \u001b]0;title\u0007",
  "javascript:window.hacked=1",
  "x".repeat(2_000_000),
  "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
  "{{7*7}} <svg/onload=window.hacked=1>",
];

function scene(name) {
  const agents = tree();
  if (name === "run") return { run: run({}), agents };
  if (name === "done") {
    for (const agent of agents)
      Object.assign(
        agent,
        agent.status === "running"
          ? {
              status: "done",
              activity: "",
              value: "Timestamp 2025-09-01",
              spans: agent.spans.map(([k, a, b]) => [k, a, b ?? T0 + 14.1]),
            }
          : {},
      );
    return {
      run: run({
        status: "done",
        in_flight: 0,
        value:
          "dict with 3 keys: {'supplier': 'Norrland', 'since': '2025-09-01', 'weeks': DataFrame 212 × 4}",
        provenance: "Scripted demo, no language model",
      }),
      agents,
    };
  }
  if (name === "fail") {
    Object.assign(agents[0], {
      status: "limit",
      activity: "",
      error:
        "CostLimitError: the limit of $0.04 was reached. Give more with --max-cost, or take what is there with `%rlm pull`.",
    });
    for (const agent of agents)
      if (agent.status === "running") Object.assign(agent, { status: "stopped", activity: "" });
    return {
      run: run({ status: "limit", cost_limit: 0.04, cost: 0.0398, in_flight: 0, error: agents[0].error }),
      agents,
    };
  }
  if (name === "noclicks") return { run: run({ clicks: false, cost: null, cost_limit: null }), agents };
  if (name === "step") {
    Object.assign(agents[6], { activity: "step", pending_code: CODE });
    return { run: run({ step: true }), agents };
  }
  if (name === "wide" || name === "huge") {
    const count = name === "wide" ? 48 : 9_900;
    for (let at = 1; at <= count; at += 1) {
      const status = at % 24 === 3 ? "failed" : at > count - 5 ? "running" : "done";
      agents.push(
        row(`0.4.${at}`, `Slice ${at}: count the refunds above 500`, status, {
          started: T0 + 6 + (at % 40) * 0.1,
          elapsed: 1 + (at % 7) * 0.4,
        }),
      );
    }
    return { run: run({ agents: agents.length }), agents };
  }
  if (name === "hostile") {
    HOSTILE.forEach((text, at) => {
      agents.push(
        row(`0.${7 + at}`, text.slice(0, 4000), "failed", {
          error: text.slice(0, 2000),
          name: at % 2 ? text.slice(0, 300) : null,
        }),
      );
    });
    return {
      run: run({ question: HOSTILE[0] + HOSTILE[1], notices: HOSTILE.map((text) => text.slice(0, 500)) }),
      agents,
    };
  }
  throw new Error(`no scene ${name}`);
}

export class FakeModel {
  constructor(name) {
    const { run: fields, agents } = scene(name);
    this.name = name;
    this.run = fields;
    this.agents = Object.fromEntries(agents.map((agent) => [agent.id, agent]));
    const shift = Date.now() / 1000 - (T0 + fields.elapsed);
    this.run.started += shift;
    for (const agent of agents) {
      agent.started += shift;
      agent.spans = agent.spans?.map(([kind, a, b]) => [kind, a + shift, b && b + shift]);
    }
    this.seq = 1;
    this.sent = [];
    this.handlers = [];
  }

  on(event, handler) {
    if (event === "msg:custom") this.handlers.push(handler);
  }

  off() {}

  get() {}

  set() {
    throw new Error("traits must not be written");
  }

  save_changes() {
    throw new Error("traits must not be written");
  }

  emit(message) {
    // As it comes over the wire.
    const copy = JSON.parse(JSON.stringify(message));
    for (const handler of this.handlers) handler(copy, []);
  }

  patch(more) {
    this.seq += 1;
    this.emit({ kind: "patch", seq: this.seq, ...more });
  }

  send(message) {
    this.sent.push(message);
    setTimeout(() => this.answer(message), 30);
  }

  answer({ kind, request, agent, ...rest }) {
    if (kind === "hello") this.emit({ kind: "snapshot", seq: this.seq, run: this.run, agents: this.agents });
    else if (kind === "open") {
      const found = detail(this.agents[agent]);
      if (this.name === "hostile") {
        const at = Number(agent.split(".").pop()) % HOSTILE.length;
        const text = HOSTILE[at];
        found.question = text;
        found.turns[0].cells[0].output = text;
        found.turns[0].reply = `${text}\n\n\`\`\`repl\n${CODE}\n\`\`\``;
        found.error = text;
        found.variables[1] = {
          ...found.variables[1],
          columns: HOSTILE.slice(0, 4).map((name) => ({ name, dtype: name, nulls: 1 })),
          rows: [HOSTILE.slice(0, 4)],
        };
      }
      this.emit({ kind: "detail", request, agent, detail: found });
    } else if (kind === "prompt")
      this.emit({
        kind: "prompt",
        request,
        agent,
        messages: [
          { role: "system", content: "You are an agent with a Python REPL …" },
          { role: "user", content: "Question: …\n\ncontext: DataFrame 1,000,000 × 6" },
        ],
      });
    else if (kind === "pull")
      this.emit(
        rest.target === "orders" && !rest.overwrite
          ? {
              kind: "error",
              request,
              message: "`orders` exists in the notebook. Choose another name, or overwrite it.",
              reason: "exists",
            }
          : { kind: "ok", request, message: `\`${rest.target}\` is now in the notebook: DataFrame 212 × 4` },
      );
    else if (kind === "exec") this.emit({ kind: "ok", request, output: `>>> ${rest.code}\n${OUTPUT}` });
    else this.emit({ kind: "ok", request });
  }
}
