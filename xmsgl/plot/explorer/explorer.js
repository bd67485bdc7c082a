// The behaviour of the explorer page. Bokeh runs this code for every event; cb_obj is the event, or the
// model whose property changed. Names that are not declared here are arguments from Python: models by name, and
//   layers  {name: {codes: Uint16Array (rows x days), rows: Int32Array (reaches)}}
//   facts   {low, step, gap, units, first, reaches: [id], segments: [id or ""], words, palettes: [light, dark],
//            ends: [lowest, highest] of the colours of all days}

const DAYS = days.length;
const FRAME = 80;  // ms per day of the animation, or longer if drawing takes longer
const REACHED = 24;  // px: the largest distance at which a click selects a line

function value(layer, reach, day) {
  const row = layer.rows[reach];
  if (row < 0) return NaN;
  const code = layer.codes[row * DAYS + day];
  return code === facts.gap ? NaN : facts.low + facts.step * code;
}

function series_of(name, reach) {
  const values = new Float64Array(DAYS);
  for (let day = 0; day < DAYS; day++) values[day] = value(layers[name], reach, day);
  return values;
}

function text_of(number, digits = 1) {
  return Number.isFinite(number) ? `${number.toFixed(digits)} ${facts.units}` : "no value";
}

function plain(text) {
  // Bokeh looks for formulas in a title ($$, \\(, \\[); an invisible character breaks up their delimiters.
  return text.replace(/\$\$|\\[[(]/g, (sign) => `${sign[0]}\u200b${sign[1]}`);
}

function paint(source, day) {
  const {reach, temperature} = source.data;
  for (let line = 0; line < reach.length; line++) {
    temperature[line] = value(layers.predicted, reach[line], day);
  }
  source.change.emit();
}

function ends_of_colours() {
  // Of a day as of the whole: the 1st and the 99th percentile, so that outliers do not take the colours.
  if (scale === null || scale.active === 0) return facts.ends;
  const seen = Float32Array.from(lines.data.temperature).filter(Number.isFinite).sort();
  if (seen.length === 0) return facts.ends;
  const low = seen[Math.floor(0.01 * (seen.length - 1))], high = seen[Math.ceil(0.99 * (seen.length - 1))];
  return [low, high > low ? high : low + 1];
}

function colour() {
  const [low, high] = ends_of_colours();
  colours.setv({low, high});
}

function dress() {
  const [ink, line, none] = dark.active ? ["#dddddd", "#3a3a3a", "#606060"] : ["#333333", "#ececec", "#c8c8c8"];
  document.documentElement.style.colorScheme = dark.active ? "dark" : "light";
  colours.setv({palette: facts.palettes[dark.active ? 1 : 0], nan_color: none});
  const text = ["text", "axis_label_text", "major_label_text", "title_text", "label_text"];
  const look = Object.entries({grid_line_color: line, inactive_fill_color: dark.active ? "#1b1b1b" : "#ffffff"});
  for (const name of text) look.push([`${name}_color`, ink]);
  for (const {title, center, above, below, left} of [map, chart]) {
    for (const part of [title, ...center, ...above, ...below, ...left]) {
      part.setv(Object.fromEntries(look.filter(([name]) => name in part.properties)));
    }
  }
  if (slider !== null) slider.bar_color = dark.active ? "#666666" : "#e6e6e6";
  curve.glyph.line_color = {value: dark.active ? "#56b4e9" : "#0072b2"};
  today.line_color = ink;
  under.glyph.line_color = {value: ink};
  sensors.glyph.setv({line_color: {value: ink}, fill_color: {value: dark.active ? "#1b1b1b" : "#ffffff"}});
}

function show_day(day) {
  paint(lines, day);
  paint(picked, day);
  colour();
  map.title.text = days[day];
  today.location = series.data.time[day];
}

function rmse(reach) {
  // Over the held-out observations, if there are any.
  for (const name of ["observed", "label"]) {
    let sum = 0, count = 0;
    for (let day = 0; name in layers && day < DAYS; day++) {
      const error = value(layers.predicted, reach, day) - value(layers[name], reach, day);
      if (Number.isFinite(error)) { sum += error * error; count++; }
    }
    if (count > 0) return `RMSE ${text_of(Math.sqrt(sum / count), 2)}, n = ${count} (${facts.words[name]})`;
  }
  return "not observed on these days";
}

function show_reach(reach) {
  for (const name of Object.keys(layers)) series.data[name] = series_of(name, reach);
  series.change.emit();
  const own = [...lines.data.reach.keys()].filter((line) => lines.data.reach[line] === reach);
  picked.data = {
    xs: own.map((line) => lines.data.xs[line]),
    ys: own.map((line) => lines.data.ys[line]),
    reach: own.map(() => reach),
    temperature: own.map(() => NaN),
  };
  paint(picked, current_day());
  const segment = facts.segments[reach];
  chart.title.text = plain(`reach ${facts.reaches[reach]}${segment === "" ? "" : ` on segment ${segment}`}`);
  note.text = rmse(reach);
}

function current_day() {
  return slider === null ? 0 : slider.value;
}

function nearest_reach(x, y) {
  // In pixels, so that it does not depend on the zoom.
  const kx = map.inner_width / (map.x_range.end - map.x_range.start);
  const ky = map.inner_height / (map.y_range.end - map.y_range.start);
  let best = REACHED * REACHED, found = -1;
  const {xs, ys, reach} = lines.data;
  for (let line = 0; line < reach.length; line++) {
    const east = xs[line], north = ys[line];
    for (let k = 0; k + 1 < east.length; k++) {
      const ax = (east[k] - x) * kx, ay = (north[k] - y) * ky;
      const dx = (east[k + 1] - east[k]) * kx, dy = (north[k + 1] - north[k]) * ky;
      const length = dx * dx + dy * dy;
      const along = length > 0 ? Math.min(1, Math.max(0, -(ax * dx + ay * dy) / length)) : 0;
      const distance = (ax + along * dx) ** 2 + (ay + along * dy) ** 2;
      if (distance < best) { best = distance; found = reach[line]; }
    }
  }
  return found;
}

function nearest_day(x) {
  let best = 0;
  for (let day = 0; day < DAYS; day++) {
    if (Math.abs(series.data.time[day] - x) < Math.abs(series.data.time[best] - x)) best = day;
  }
  return best;
}

function with_sensor(reach, ...names) {
  return names.some((name) => name in layers && layers[name].rows[reach] >= 0) ? ", with a sensor" : "";
}

function hover(event) {
  const reach = nearest_reach(event.x, event.y);
  if (reach >= 0) {
    const segment = facts.segments[reach];
    tip.content = `reach ${facts.reaches[reach]}${with_sensor(reach, "observed", "label")}: `
      + text_of(value(layers.predicted, reach, current_day()))
      + (segment === "" ? "" : `, on segment ${segment}${with_sensor(reach, "segment")}`);
    tip.position = [event.sx, event.sy];
  }
  tip.visible = reach >= 0;
}

function search() {
  const wanted = find.value.trim();
  const reach = facts.reaches.indexOf(wanted);
  if (reach >= 0) {
    show_reach(reach);
    find.value = "";
  } else note.text = `There is no reach ${wanted}.`;
}

function run() {
  // The timer is kept in the tags of the button, so that a quick second press does not start another one.
  clearTimeout(play.tags[0]);
  play.label = play.active ? "❚❚ Pause" : "► Play";
  if (!play.active) return;
  if (slider.value >= DAYS - 1) slider.value = 0;
  const step = () => {
    if (!play.active) return;
    slider.value = slider.value + 1;
    if (slider.value >= DAYS - 1) play.active = false;
    else play.tags = [setTimeout(step, FRAME)];
  };
  play.tags = [setTimeout(step, FRAME)];
}

const happened = (cb_data ?? {}).event_name ?? cb_obj.event_name;  // for events of the page, cb_data has the name
if (happened === "document_ready") {
  const night = matchMedia("(prefers-color-scheme: dark)");
  night.addEventListener("change", () => { dark.active = night.matches; });
  dark.active = night.matches;
  dress();
  show_reach(facts.first);
  show_day(current_day());
} else if (happened === "tap" && cb_obj.origin === map) {
  const reach = nearest_reach(cb_obj.x, cb_obj.y);
  if (reach >= 0) show_reach(reach);
} else if (happened === "tap") {
  if (slider !== null) slider.value = nearest_day(cb_obj.x);
} else if (happened === "mousemove") {
  hover(cb_obj);
} else if (happened === "mouseleave") {
  tip.visible = false;
} else if (cb_obj === slider) {
  show_day(slider.value);
} else if (cb_obj === find) {
  if (find.value !== "") search();
} else if (cb_obj === play) {
  run();
} else if (cb_obj === scale) {
  colour();
} else if (cb_obj === dark) {
  dress();
}
