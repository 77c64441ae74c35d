// The radiograph and its heat: window and level, zoom and pan, by mouse, finger and keyboard.

const state = { window: 255, level: 128, zoom: 1, x: 0, y: 0, tool: "window" };
const by = (id) => document.getElementById(id);
const png = (encoded) => `data:image/png;base64,${encoded}`;
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

// Shows pictures as the server sends them: `image`, and of each label in `heat` that has some.
export async function view({ image, heat }) {
  if (image && image === state.image) return; // as it is seen already, enlarged perhaps
  Object.assign(state, { image, heat, grey: null });
  setBack();
  const found = Object.keys(heat || {}).filter((label) => heat[label]);
  for (const control of document.querySelectorAll(".of-heat")) control.hidden = !found.length;
  by("choice").hidden = found.length < 2;
  by("label").replaceChildren(...found.map((label) => new Option(label)));
  showHeat();
  if (!image) return;
  const picture = new Image();
  picture.src = png(image);
  await picture.decode();
  if (state.image !== image) return; // another file was chosen meanwhile
  const canvas = by("radiograph");
  by("stage").style.aspectRatio = picture.naturalWidth / picture.naturalHeight;
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  state.grey = Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
  draw();
}

// Draws the grey values from level - window / 2 (black) to level + window / 2 (white).
function draw() {
  if (!state.grey) return;
  const canvas = by("radiograph");
  const context = canvas.getContext("2d");
  const drawn = context.createImageData(canvas.width, canvas.height);
  const shown = Uint8ClampedArray.from({ length: 256 }, (_, grey) => (255 * (grey - state.level)) / state.window + 128);
  const pixels = new Uint32Array(drawn.data.buffer); // opacity, blue, green, red
  state.grey.forEach((grey, at) => (pixels[at] = 0xff000000 | (shown[grey] * 0x010101)));
  context.putImageData(drawn, 0, 0);
}

function showHeat() {
  const heat = state.heat?.[by("label").value];
  by("heat").hidden = !heat;
  if (heat) by("heat").src = png(heat);
}

function place() {
  const { clientWidth: width, clientHeight: height } = by("stage");
  state.x = clamp(state.x, width * (1 - state.zoom), 0);
  state.y = clamp(state.y, height * (1 - state.zoom), 0);
  by("layers").style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
  by("stage").classList.toggle("enlarged", state.zoom > 1);
  by("stage").classList.toggle("move", state.tool === "move");
}

// Zooms so that the point x, y of the stage stays where it is.
function zoomTo(zoom, x = by("stage").clientWidth / 2, y = by("stage").clientHeight / 2) {
  zoom = clamp(zoom, 1, 8);
  state.x = x - ((x - state.x) * zoom) / state.zoom;
  state.y = y - ((y - state.y) * zoom) / state.zoom;
  state.zoom = zoom;
  place();
  tellControls();
}

function setWindow(window, level) {
  state.window = clamp(Math.round(window), 2, 255);
  state.level = clamp(Math.round(level), 0, 255);
  tellControls();
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(draw);
}

function setBack() {
  Object.assign(state, { x: 0, y: 0 });
  setWindow(255, 128);
  zoomTo(1);
}

// Writes what is set into the sliders, and their values beside them.
function tellControls() {
  for (const name of ["window", "level", "zoom"]) by(name).value = state[name];
  const said = { window: state.window, level: state.level, zoom: `${state.zoom.toFixed(1)}×`, opacity: `${by("opacity").value} %` };
  for (const output of by("controls").querySelectorAll("output")) output.value = said[output.htmlFor];
  by("heat").style.opacity = by("opacity").value / 100;
}

function useControl({ target }) {
  state.tool = by("controls").elements.tool.value;
  if (target === by("zoom")) zoomTo(Number(target.value));
  else setWindow(Number(by("window").value), Number(by("level").value));
  place();
}

// Fingers and the mouse: one of them drags, two zoom.
function followPointers(stage) {
  const pointers = new Map();
  const spread = () => {
    const [one, other] = [...pointers.values()];
    return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  stage.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const [x, y] = [event.clientX - last.clientX, event.clientY - last.clientY];
    const before = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      const box = stage.getBoundingClientRect();
      const [one, other] = [...pointers.values()];
      const middle = [(one.clientX + other.clientX) / 2 - box.x, (one.clientY + other.clientY) / 2 - box.y];
      zoomTo((state.zoom * spread()) / before, ...middle);
    } else if (state.tool === "move") {
      Object.assign(state, { x: state.x + x, y: state.y + y });
      place();
    } else {
      setWindow(state.window + x, state.level - y); // darker upwards, as in other viewers
    }
  });
}

function useKey(event) {
  const step = 40;
  const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (event.key === "+" || event.key === "=") zoomTo(state.zoom * 1.25);
  else if (event.key === "-") zoomTo(state.zoom / 1.25);
  else if (event.key === "0") setBack();
  else if (event.key in moves && state.zoom > 1) {
    Object.assign(state, { x: state.x + moves[event.key][0], y: state.y + moves[event.key][1] });
    place();
  } else return;
  event.preventDefault();
}

function useWheel(event) {
  if (state.zoom === 1 && event.deltaY > 0) return; // scrolls the page
  event.preventDefault();
  const box = by("stage").getBoundingClientRect();
  zoomTo(state.zoom * 1.0015 ** -event.deltaY, event.clientX - box.x, event.clientY - box.y);
}

by("controls").addEventListener("input", useControl);
by("controls").addEventListener("reset", (event) => {
  event.preventDefault();
  setBack();
});
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("label").addEventListener("change", showHeat);
by("stage").addEventListener("keydown", useKey);
by("stage").addEventListener("wheel", useWheel, { passive: false });
new ResizeObserver(place).observe(by("stage"));
followPointers(by("stage"));
if (matchMedia("(pointer: coarse)").matches) by("controls").elements.tool.value = "move";
state.tool = by("controls").elements.tool.value;
