"use strict";
/* Explores a topology that was laid out when the page was written: classes, one rack, one tray. */
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const data = JSON.parse(document.getElementById("topology").textContent);
  const root = document.getElementById("explorer");
  const told = document.getElementById("told");
  const choose = document.getElementById("collective");
  let view = data.views[0];

  function shape(parent, name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  function load(link) {
    const of = data.loads[choose.value] || {};
    return of[link.rule];
  }

  function say(item) {
    const lines = item.told.slice();
    const share = item.rule ? load(item) : undefined;
    if (item.rule) lines.push(choose.value + ": " + (share ? share.told : "no traffic"));
    told.textContent = lines.join(" · ");
  }

  function hear(node, item) {
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", item.opens ? "button" : "img");
    node.setAttribute("aria-label", item.told.join(", ") + (item.opens ? ", opens" : ""));
    node.addEventListener("mouseenter", function () { say(item); });
    node.addEventListener("focus", function () { say(item); });
    if (!item.opens) return;
    node.addEventListener("click", function () { show(item.opens); });
    node.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(item.opens); }
    });
  }

  function draw() {
    root.replaceChildren();
    root.setAttribute("viewBox", "0 0 " + view.width + " " + view.height);
    for (const link of view.links) {
      const share = load(link);
      const group = shape(root, "g", { class: "link " + link.net });
      shape(group, "line", { x1: link.x1, y1: link.y1, x2: link.x2, y2: link.y2, class: "wide" });
      const width = 1.2 + 4 * (share ? share.part : 0);
      shape(group, "line", { x1: link.x1, y1: link.y1, x2: link.x2, y2: link.y2, "stroke-width": width });
      if (link.label) shape(group, "text", { x: link.x, y: link.y }, link.label);
      hear(group, link);
    }
    for (const box of view.boxes) {
      const group = shape(root, "g", { class: "box " + box.kind + (box.opens ? " opens" : "") });
      shape(group, "rect", { x: box.x, y: box.y, width: box.w, height: box.h, rx: 3 });
      box.lines.forEach(function (line, i) {
        shape(group, "text", { x: box.x + 6, y: box.y + 15 + 14 * i }, line);
      });
      hear(group, box);
    }
    const bar = document.getElementById("views");
    bar.replaceChildren();
    data.views.forEach(function (one) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = one.title;
      button.setAttribute("aria-pressed", String(one === view));
      button.addEventListener("click", function () { show(one.name); });
      bar.appendChild(button);
    });
    told.textContent = view.about;
  }

  function show(name) {
    view = data.views.find(function (one) { return one.name === name; }) || view;
    draw();
    const pressed = document.querySelector("#views [aria-pressed=true]");
    if (pressed) pressed.focus();
  }

  for (const name of Object.keys(data.loads)) {
    const option = document.createElement("option");
    option.value = option.textContent = name;
    choose.appendChild(option);
  }
  choose.addEventListener("change", draw);
  document.getElementById("controls").hidden = false;
  draw();
})();
