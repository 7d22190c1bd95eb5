// Planned batches are dragged to another day or line, by mouse, pen, finger or keys. Nothing is saved here: letting go
// opens the page that shows what follows, which also works alone. Pointer Events 3; UI Events, key values.
//
// A mouse or pen drags as soon as it moves. A finger has to rest first, so that the page still scrolls under it: once
// the batch is lifted the browser's own scrolling is held back. On a focused batch Space lifts and lets go, arrows choose
// the place, Escape puts it back.

const MOVED_PX = 6;
const REST_MS = 350;
const EDGE_PX = 48;
const STEP_PX = 12;
// Days on which a batch can be made, on lines that make its card variant.
const PLACE = "tr:not(.uec-drag__other) > [data-free]";

class Dragging {
  constructor(table) {
    this.table = table;
    this.says = document.getElementById(table.dataset.drag);
    this.scroller = table.closest(".uec-scroll");
    this.pressed = null;
    this.lifted = null;
    this.resting = null;
    this.calledOff = null;
    this.justLetGo = false;
    table.querySelectorAll("[data-cards]").forEach((bar) => {
      bar.draggable = false;
      bar.setAttribute("aria-describedby", table.dataset.dragHint);
      bar.setAttribute("aria-keyshortcuts", "Space");
    });
    this.listen();
  }

  listen() {
    const on = (name, done, options) => this.table.addEventListener(name, done.bind(this), options);
    on("pointerover", this.hover);
    on("pointerdown", this.press);
    on("pointermove", this.move);
    on("pointerup", this.drop);
    on("pointercancel", this.putBack);
    on("keydown", this.key);
    on("dragstart", (event) => event.target.closest("[data-cards]") && event.preventDefault());
    // What follows a drag is not the opening of the batch, nor, after a rest, the menu of a link.
    on("click", (event) => (this.justLetGo || this.lifted) && event.preventDefault(), true);
    on("contextmenu", (event) => (this.lifted || this.resting) && event.preventDefault());
    // Only a listener that may hold back can keep a finger from scrolling; it does so for a lifted batch alone.
    on("touchmove", (event) => this.lifted && event.cancelable && event.preventDefault(), { passive: false });
    this.table.addEventListener("focusout", () => this.lifted?.keys && this.putBack());
  }

  // By pointer.

  // A pen is over a batch before it touches it: only then can it be told that it does not scroll there.
  hover(event) {
    const bar = event.target.closest("[data-cards]");
    if (bar) bar.style.touchAction = event.pointerType === "pen" ? "none" : "";
  }

  press(event) {
    const bar = event.target.closest("[data-cards]");
    this.putBack();
    this.calledOff = null;
    if (!bar || event.button !== 0 || !event.isPrimary || event.ctrlKey || event.metaKey || event.shiftKey) return;
    this.pressed = { bar, id: event.pointerId, x: event.clientX, y: event.clientY, finger: event.pointerType === "touch" };
    bar.setPointerCapture(event.pointerId);
    if (this.pressed.finger) this.resting = setTimeout(() => this.take(), REST_MS);
  }

  take() {
    const { bar, x, y } = this.pressed;
    this.resting = null;
    navigator.vibrate?.(15);
    this.lift(bar, { keys: false, x, y });
    this.follow(x, y);
  }

  move(event) {
    if (!this.pressed || event.pointerId !== this.pressed.id) return;
    const far = Math.hypot(event.clientX - this.pressed.x, event.clientY - this.pressed.y) > MOVED_PX;
    if (!this.lifted && far && this.pressed.finger) return this.putBack();
    if (!this.lifted && far) this.take();
    if (this.lifted) this.follow(event.clientX, event.clientY);
  }

  follow(x, y) {
    Object.assign(this.lifted, { x, y });
    this.lifted.ghost.style.transform = `translate(${x + 12}px, ${y + 12}px)`;
    this.aim(document.elementFromPoint(x, y)?.closest(PLACE));
    this.lifted.scrolling ??= requestAnimationFrame(() => this.scrollAtEdges());
  }

  scrollAtEdges() {
    if (!this.lifted || this.lifted.keys) return;
    const { x, y } = this.lifted;
    const box = this.scroller.getBoundingClientRect();
    const towards = (at, first, last) => (at < first + EDGE_PX ? -STEP_PX : at > last - EDGE_PX ? STEP_PX : 0);
    const across = towards(x, Math.max(box.left, 0), Math.min(box.right, innerWidth));
    const along = towards(y, 0, innerHeight);
    this.lifted.scrolling = null;
    if (!across && !along) return;
    this.scroller.scrollLeft += across;
    window.scrollBy(0, along);
    this.follow(x, y);
  }

  drop(event) {
    if (event.pointerId === this.calledOff) return this.letGo();
    if (!this.pressed || event.pointerId !== this.pressed.id) return;
    if (!this.lifted) return this.putBack();
    this.letGo();
    this.open();
  }

  letGo() {
    this.calledOff = null;
    this.justLetGo = true;
    setTimeout(() => (this.justLetGo = false));
  }

  // The button of the mouse is still down: that it is let go later opens nothing either.
  callOff() {
    this.calledOff = this.pressed?.id ?? null;
    this.putBack();
  }

  // By keys.

  key(event) {
    const bar = event.target.closest("[data-cards]");
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const held = event.repeat && (event.key === " " || event.key === "Enter");
    if (this.lifted && event.key === "Escape") this.callOff();
    else if (bar && held) return event.preventDefault(); // a key that is held down says it once
    else if (this.lifted?.keys && event.key in steps) this.step(...steps[event.key]);
    else if (this.lifted?.keys && (event.key === " " || event.key === "Enter")) this.open();
    else if (bar && !this.lifted && event.key === " ") this.lift(bar, { keys: true });
    else return;
    event.preventDefault();
  }

  step(rows, columns) {
    const from = this.lifted.target ?? this.lifted.home;
    for (let cell = this.beside(from, rows, columns); cell; cell = this.beside(cell, rows, columns)) {
      if (cell.matches(PLACE) || cell === this.lifted.home) {
        cell.scrollIntoView({ block: "nearest", inline: "nearest" });
        return this.aim(cell);
      }
    }
  }

  // In a month the day after Sunday is in the next row; lines of a Gantt do not follow one another.
  beside(cell, rows, columns) {
    const lines = [...this.table.tBodies[0].rows];
    let [row, column] = [lines.indexOf(cell.parentElement) + rows, cell.cellIndex + columns];
    if ("month" in this.table.dataset && !lines[row]?.cells[column]) {
      row += Math.sign(columns);
      column = columns > 0 ? 0 : (lines[row]?.cells.length ?? 0) - 1;
    }
    return lines[row]?.cells[column];
  }

  // Both.

  lift(bar, how) {
    const ghost = bar.cloneNode(true);
    ghost.className += " uec-drag__ghost";
    ghost.hidden = how.keys;
    ghost.removeAttribute("href");
    document.body.append(ghost);
    this.lifted = { ...how, bar, ghost, home: bar.closest("td"), target: null };
    for (const { classList, dataset } of this.table.tBodies[0].rows) {
      const other = "makes" in dataset && !dataset.makes.split(" ").includes(bar.dataset.variant);
      classList.toggle("uec-drag__other", other);
    }
    this.table.classList.add("uec-drag--on");
    bar.classList.add("uec-drag__lifted");
    this.say(this.table.dataset.sayLifted, {});
  }

  aim(cell) {
    if (cell === this.lifted.target) return;
    const { bar, home, target } = this.lifted;
    target?.classList.remove("uec-drag__target", "uec-drag__target--full");
    this.lifted.target = cell ?? null;
    if (!cell || cell === home) return this.say(this.table.dataset.sayLifted, {});
    const [cards, free] = [Number(bar.dataset.cards), Number(cell.dataset.free)];
    cell.classList.add("uec-drag__target");
    cell.classList.toggle("uec-drag__target--full", cards > free);
    const text = cards > free ? this.table.dataset.sayFull : this.table.dataset.sayFree;
    this.say(text, { place: this.placeOf(cell), free, cards });
  }

  placeOf(cell) {
    const row = cell.parentElement.cells[0];
    const line = row.scope === "row" ? `, ${row.innerText}` : "";
    return (cell.dataset.name ?? this.headOf(cell).dataset.name) + line;
  }

  headOf(cell) {
    return this.table.tHead.rows[0].cells[cell.cellIndex];
  }

  say(text, facts) {
    const said = { batch: this.lifted.bar.firstChild.textContent.trim(), ...facts };
    this.says.textContent = text.replace(/\{(\w+)\}/g, (_all, name) => said[name]);
  }

  open() {
    const { bar, target, home } = this.lifted;
    if (!target || target === home) return this.putBack();
    const query = new URLSearchParams({ day: target.dataset.day ?? this.headOf(target).dataset.day });
    const line = target.parentElement.dataset.line;
    if (line) query.set("line", line);
    this.putBack();
    window.location.assign(`${bar.href}/move?${query}`);
  }

  putBack() {
    clearTimeout(this.resting);
    this.pressed = this.resting = null;
    if (!this.lifted) return;
    const { bar, ghost, target, scrolling } = this.lifted;
    this.lifted = null;
    cancelAnimationFrame(scrolling);
    ghost.remove();
    bar.classList.remove("uec-drag__lifted");
    target?.classList.remove("uec-drag__target", "uec-drag__target--full");
    this.table.classList.remove("uec-drag--on");
    this.says.textContent = "";
  }
}

document.querySelectorAll("[data-drag]").forEach((table) => new Dragging(table));
