"use strict";
// The browser of replies. Everything from a model is put in place as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const FULL = 3; // nats of shift at which the tint is strongest
const names = Object.keys(data.preferences);
const usual = ["pref", "amulet", "amulet@paper"].filter((name) => data.variants.includes(name));
const state = {
  question: 0,
  preference: names[0],
  variants: new Set(usual.length > 1 ? usual : data.variants.slice(0, 3)),
};

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const replyOf = (variant) => {
  const [index] = data.questions[state.question];
  for (const preference of [state.preference, ""]) {
    const found = ((data.replies[preference] || {})[variant] || {})[index];
    if (found) return found;
  }
  return null;
};

const card = (variant, reply) => {
  const made = element("article", variant === "amulet" ? "reply ours" : "reply");
  made.append(element("h3", "", variant));
  const words = reply.pieces.join("").trim().split(/\s+/).filter(Boolean).length;
  const facts = element("div", "facts");
  facts.append(element("span", "", `strength ${Number(reply.strength.toPrecision(3))}`));
  if (reply.guard) facts.append(element("span", "", `guard ${reply.guard}`));
  facts.append(element("span", "", `${words} words${reply.ended ? "" : ", cut off"}`));
  made.append(facts);
  const text = element("div", "text");
  reply.pieces.forEach((piece, place) => {
    const span = element("span", "", piece);
    const shift = reply.shifts[place];
    if (shift > 0.05) {
      const depth = (0.6 * Math.min(1, shift / FULL)).toFixed(3);
      span.style.backgroundColor = `rgba(var(--tint), ${depth})`;
      span.title = `shift ${shift.toFixed(2)} nats`;
    }
    text.append(span);
  });
  made.append(text);
  return made;
};

const show = () => {
  document.getElementById("question").value = String(state.question);
  for (const button of document.querySelectorAll("#preferences button")) {
    button.setAttribute("aria-pressed", String(button.textContent === state.preference));
  }
  for (const button of document.querySelectorAll("#variants button")) {
    button.setAttribute("aria-pressed", String(state.variants.has(button.textContent)));
  }
  const shown = data.variants.filter((variant) => state.variants.has(variant));
  const replies = shown.map((variant) => [variant, replyOf(variant)]).filter((pair) => pair[1]);
  document.getElementById("replies").replaceChildren(...replies.map((pair) => card(...pair)));
};

const choose = (number) => {
  state.question = (number + data.questions.length) % data.questions.length;
  show();
};

const button = (text, press) => {
  const made = element("button", "", text);
  made.type = "button";
  made.addEventListener("click", () => { press(text); show(); });
  return made;
};

if (data.questions.length) {
  document.getElementById("browser").hidden = false;
  const select = document.getElementById("question");
  data.questions.forEach(([, asked], place) => {
    const option = element("option", "", asked);
    option.value = String(place);
    select.append(option);
  });
  select.addEventListener("change", () => choose(Number(select.value)));
  document.getElementById("before").addEventListener("click", () => choose(state.question - 1));
  document.getElementById("after").addEventListener("click", () => choose(state.question + 1));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input") || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") choose(state.question - 1);
    if (event.key === "ArrowRight") choose(state.question + 1);
  });
  document.getElementById("preferences").append(
    ...names.map((name) => button(name, (text) => { state.preference = text; })),
  );
  document.getElementById("variants").append(
    ...data.variants.map((name) => button(name, (text) => {
      if (!state.variants.delete(text)) state.variants.add(text);
    })),
  );
  show();
}
