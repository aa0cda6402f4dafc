"use strict";
/* Shows one row of the table of sizes. */
(function () {
  const place = document.getElementById("sizes");
  if (!place) return;
  const rows = JSON.parse(place.textContent);
  const slider = document.getElementById("size");
  const shown = document.getElementById("size-told");
  slider.max = String(rows.length - 1);
  function tell() {
    const row = rows[Number(slider.value)];
    shown.replaceChildren();
    for (const pair of row) {
      const name = document.createElement("dt"), value = document.createElement("dd");
      name.textContent = pair[0];
      value.textContent = pair[1];
      shown.append(name, value);
    }
    slider.setAttribute("aria-valuetext", row[0][1] + " GPUs");
  }
  slider.addEventListener("input", tell);
  document.getElementById("size-box").hidden = false;
  tell();
})();
