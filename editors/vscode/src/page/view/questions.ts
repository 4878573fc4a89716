/** Open questions, each a card with the means to answer it. Cards stay as they are while others come and go. */
import type { Interaction } from "../../../../../protocol/schema/sidestep";
import { answerOf, fieldsOf, type Field } from "../model/answerForm";
import { element, setText } from "./dom";

export interface QuestionsOwner {
  answer(interaction: Interaction, answer: unknown): void;
  /** What was typed before, by field. */
  draft(interactionId: string): Record<string, string>;
  keepDraft(interactionId: string, typed: Record<string, string>): void;
}

export class Questions {
  readonly root = element("section", { class: "questions", "aria-label": "Questions of the run" });
  readonly #cards = new Map<string, HTMLElement>();

  constructor(private readonly owner: QuestionsOwner) {}

  update(pending: readonly Interaction[], busy: ReadonlySet<string>): void {
    const open = new Set(pending.map((each) => each.interactionId));
    for (const [id, card] of this.#cards) {
      if (open.has(id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    for (const interaction of pending) {
      const id = interaction.interactionId;
      let card = this.#cards.get(id);
      if (!card) {
        card = this.#card(interaction);
        this.#cards.set(id, card);
        this.root.append(card);
      }
      card.querySelector("fieldset")?.toggleAttribute("disabled", busy.has(`answer ${id}`));
    }
  }

  #card(interaction: Interaction): HTMLElement {
    const heading = `question-${interaction.interactionId}`;
    const body = element("fieldset");
    const form = element("form", { class: `question ${interaction.kind}`, "aria-labelledby": heading }, body);
    const word = interaction.kind === "question" ? "Question" : interaction.kind === "trust" ? "Trust" : "Permission";
    body.append(element("h2", { id: heading }, `${word}: ${interaction.title}`));
    if (interaction.detail) body.append(element("pre", { class: "detail" }, interaction.detail));
    if (interaction.choices && interaction.choices.length > 0) this.#addChoices(body, interaction);
    else this.#addFields(form, body, interaction);
    return form;
  }

  #addChoices(body: HTMLElement, interaction: Interaction): void {
    const buttons = (interaction.choices ?? []).map((choice, index) =>
      element(
        "button",
        {
          type: "button",
          class: index === 0 ? "primary" : undefined,
          "data-choice": choice.id,
          click: () => this.owner.answer(interaction, choice.id),
        },
        choice.title,
      ),
    );
    body.append(element("div", { class: "buttons" }, ...buttons));
  }

  #addFields(form: HTMLFormElement, body: HTMLElement, interaction: Interaction): void {
    const fields = fieldsOf(interaction.schema);
    const typed = new Map(Object.entries(this.owner.draft(interaction.interactionId)));
    const complaints = new Map<string, HTMLElement>();
    const controls = new Map<string, HTMLElement>();
    const check = (): ReturnType<typeof answerOf> => {
      const read = answerOf(fields, typed);
      for (const [name, complaint] of complaints) {
        const problem = read.problems.find((each) => each.field === name)?.message ?? "";
        setText(complaint, problem);
        controls.get(name)?.setAttribute("aria-invalid", String(problem !== ""));
      }
      return read;
    };
    for (const field of fields) {
      const id = `${interaction.interactionId}-${field.name}`;
      const complaint = element("p", { class: "problem", id: `${id}-problem`, role: "alert" });
      const label = field.label || "Answer";
      const control = controlOf(field, id, typed.get(field.name) ?? field.initial, (text) => {
        typed.set(field.name, text);
        this.owner.keepDraft(interaction.interactionId, Object.fromEntries(typed));
        check();
      });
      control.setAttribute("aria-describedby", complaint.id);
      complaints.set(field.name, complaint);
      controls.set(field.name, control);
      const caption = element("label", { for: id }, field.required ? label : `${label} (optional)`);
      const words = field.description && element("p", { class: "description" }, field.description);
      body.append(element("div", { class: "field" }, caption, words, control, complaint));
    }
    body.append(element("div", { class: "buttons" }, element("button", { class: "primary" }, "Send Answer")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const read = check();
      const wrong = read.problems[0];
      if (wrong) controls.get(wrong.field)?.focus();
      else this.owner.answer(interaction, read.answer);
    });
  }
}

function controlOf(field: Field, id: string, text: string, typed: (text: string) => void): HTMLElement {
  const common = { id, "data-field": field.name };
  if (field.control === "checkbox") {
    const box = element("input", { ...common, type: "checkbox" });
    box.checked = text === "true";
    box.addEventListener("change", () => typed(String(box.checked)));
    return box;
  }
  if (field.control === "choice") {
    const list = element("select", common);
    if (text === "" || !field.required) list.append(element("option", { value: "" }, ""));
    field.choices.forEach((choice, index) => {
      const words = typeof choice === "string" ? choice : JSON.stringify(choice);
      list.append(element("option", { value: String(index) }, words));
    });
    list.value = text;
    list.addEventListener("change", () => typed(list.value));
    return list;
  }
  const long = field.control === "longText" || field.control === "lines" || field.control === "json";
  const box = long
    ? element("textarea", { ...common, rows: "3" })
    : element("input", { ...common, type: "text", inputmode: field.control === "number" ? "decimal" : undefined });
  if (field.control === "lines") box.placeholder = "One per line";
  if (field.control === "json") box.placeholder = "JSON";
  box.value = text;
  box.addEventListener("input", () => typed(box.value));
  return box;
}
