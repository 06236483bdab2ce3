// Elements, forms, numbers and messages: all that the views share, without a framework.

/** Make an element; text is always text, never markup. Properties: attributes, listeners, `style` as an object. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { value, ...attributes } = properties;
  for (const [name, given] of Object.entries(attributes)) {
    if (given === null || given === undefined || given === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), given);
    else if (name === 'style') Object.entries(given).forEach((each) => element.style.setProperty(...each));
    else element.setAttribute(name, given === true ? '' : given);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  if (value !== undefined && value !== null) element.value = value;
  return element;
}

export const link = (href, ...text) => h('a', { href }, ...text);
export const address = (view, id) => `#/${view}/${encodeURIComponent(id)}`;
export const heading = (text, note) => h('h1', { tabindex: -1 }, text, note && h('small', {}, note));
export const bar = (...children) => h('div', { class: 'bar' }, ...children);
export const row = (...children) => h('div', { class: 'fields' }, ...children);
export const card = (title, ...children) => h('section', { class: 'card' }, h('h2', {}, title), ...children);
export const more = (title, open, ...children) => h('details', { open }, h('summary', {}, title), ...children);
export const quiet = (...text) => h('p', { class: 'quiet' }, ...text);
export const noted = (content, note, name) => [content, h('small', { class: name }, note)];
export const submitButton = (text) => h('button', { type: 'submit', class: 'primary' }, text);

/** A cell of a heat map: "gain", "loss" or neither, the deeper the closer to 1. */
export const heat = (kind, depth, ...content) =>
  h('span', { class: `heat ${kind}`, style: { '--depth': depth } }, ...content);

const phone = matchMedia('(max-width: 800px)');

/** A view of a list, and beside it the form for another one, if there is such; folded on phones, unless `open`. */
export function listPage(title, tools, list, making, open = !phone.matches) {
  const summary = h('summary', {}, h('h2', {}, making.title));
  const folded = making && h('details', { class: 'card', open }, summary, making.form);
  return h('div', {}, bar(heading(title), tools), h('div', { class: 'columns' }, folded, h('section', {}, list)));
}

/** Fill an element with what `show` makes of the rows of a connection so far, and a button for more of them. */
export async function fillPages(list, fetchPage, show, shown = [], after = undefined) {
  const page = await fetchPage(after);
  const rows = [...shown, ...page.nodes];
  const next = button('More', () => fillPages(list, fetchPage, show, rows, page.pageInfo.endCursor));
  replace(list, show(rows, page), page.pageInfo.hasNextPage ? next : '');
}

/** A table: columns are [title, cell of a row, { number, minor: not on phones }]; the caption is for screen readers. */
export function table(caption, columns, rows, empty = 'Nothing yet.') {
  if (rows.length === 0) return quiet(empty);
  const kind = (options = {}) => ({ class: ['number', 'minor'].filter((name) => options[name]).join(' ') || null });
  const head = ([title, , options]) => h(title ? 'th' : 'td', { scope: title ? 'col' : null, ...kind(options) }, title);
  const body = (row) => h('tr', {}, columns.map(([, cell, options]) => h('td', kind(options), cell(row))));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', { class: 'hidden' }, caption),
      h('thead', {}, h('tr', {}, columns.map(head))),
      h('tbody', {}, rows.map(body))));
}

/** Some numbers that matter most, large: [what, how much, a name for the style]. */
export const figures = (given) =>
  h('dl', { class: 'figures' }, given.map(([title, value, name]) =>
    h('div', {}, h('dt', {}, title), h('dd', { class: name }, value))));

// ---- numbers and times ----
const NONE = '–';
const formats = {};

function format(value, minimum, maximum) {
  const digits = { minimumFractionDigits: minimum, maximumFractionDigits: maximum };
  const kept = (formats[[minimum, maximum]] ??= new Intl.NumberFormat('en', digits));
  return kept.format(value).replace('-', '−');
}

export const number = (value, digits = 2) => (value === null ? NONE : format(value, digits, digits));
export const percent = (value, digits = 2) => (value === null ? NONE : `${format(100 * value, digits, digits)} %`);
export const money = (value) => (value === null ? NONE : format(value, 2, 2));
export const price = (value) => (value === null ? NONE : format(value, 2, Math.abs(value) < 1 ? 8 : 4));
export const quantity = (value) => (value === null ? NONE : format(value, 0, 8));
export const time = (value) => (value === null ? NONE : value.slice(0, 16).replace('T', ' '));
export const day = (value) => (value === null ? NONE : value.slice(0, 10));
export const words = (constant) => constant.toLowerCase().replaceAll('_', ' ');
export const interval = (name) => `${name.slice(1)}\u00a0${{ M: 'min', H: 'h', D: 'd', W: 'w' }[name[0]]}`;

/** A number that is green above zero and red below. */
export const signed = (value, text) =>
  h('span', { class: value > 0 ? 'gain' : value < 0 ? 'loss' : null }, (value > 0 ? '+' : '') + text);

// ---- messages ----
/** Tell something in a corner of the page; errors stay longer. Returns what takes it away before. */
export function say(text, kind = 'info', seconds = kind === 'error' ? 12 : 5) {
  const dismiss = () => message.remove();
  const message = h('p', { class: kind }, text,
    h('button', { type: 'button', 'aria-label': 'Dismiss', onclick: dismiss }, '×'));
  document.getElementById('messages').append(message);
  if (seconds < Infinity) setTimeout(dismiss, 1000 * seconds);
  return dismiss;
}

/** Tell an error, except that something was given up because the page went elsewhere. */
export function complain(error, tell = (text) => say(text, 'error')) {
  if (error.name === 'AbortError') return;
  tell(error.requestId && error.code === 'INTERNAL' ? `${error.message} (${error.requestId})` : error.message);
  if (!['ApiError', 'RefusedError'].includes(error.name)) console.error(error);
}

/** Let `load(signal)` be called again and again: each call gives up the one before. */
export function latest(signal, load) {
  let current = new AbortController();
  return () => {
    current.abort();
    current = new AbortController();
    return load(AbortSignal.any([signal, current.signal]));
  };
}

/** What does `act` once, a moment after it was called, however often it is called until then. */
export function soon(milliseconds, act) {
  let timer;
  return () => (timer ??= setTimeout(() => {
    timer = undefined;
    act();
  }, milliseconds));
}

/** A button that is busy until what it does is done, and tells why if it fails. */
export function button(text, action, properties = {}) {
  const element = h('button', { type: 'button', ...properties }, text);
  element.addEventListener('click', () => busily(element, action).catch(complain));
  return element;
}

/** Ask before something is done, which may take fields and be refused; the focus goes back to where it was. */
export function ask(title, verb, act, ...content) {
  const run = async (values) => {
    await act(values);
    dialog.close();
  };
  const cancel = h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Cancel');
  const dialog = h('dialog', { class: 'card', 'aria-labelledby': 'question', onclose: () => dialog.remove() },
    form({}, run, h('h2', { id: 'question' }, title), ...content, bar(submitButton(verb), cancel)));
  document.body.append(dialog);
  dialog.showModal();
}

/** A button for what cannot be undone: it asks first. */
export const carefulButton = (text, question, warning, action) =>
  button(text, () => ask(question, text, action, h('p', {}, warning)));

// Not disabled meanwhile, since what is disabled loses the focus.
async function busily(element, action) {
  if (element.ariaBusy) return;
  element.ariaBusy = 'true';
  try {
    await action();
  } finally {
    element.ariaBusy = null;
  }
}

/** Put other content in place; the focus stays with what is at the same place. */
export function replace(container, ...children) {
  const stops = () => [...container.querySelectorAll('a, button')];
  const place = stops().indexOf(document.activeElement);
  container.replaceChildren(...children);
  if (place >= 0) (stops()[place] ?? stops().at(-1) ?? document.querySelector('h1'))?.focus({ preventScroll: true });
}

/** The same, unless it is there already: what is redrawn in the middle of a click does not hear of it. */
export function update(container, ...children) {
  if (!h('div', {}, ...children).isEqualNode(container)) replace(container, ...children);
}

// ---- forms ----
let fields = 0;
/** A labelled control; `path` is what the server's errors call it, if not its name; several with spaces. */
export function field(label, control, { path = control.name, hint } = {}) {
  const id = `field-${++fields}`;
  control.id = id;
  control.setAttribute('aria-describedby', `${id}-notes`);
  const notes = h('small', { id: `${id}-notes` }, hint ?? '');
  notes.dataset.hint = hint ?? '';
  if (path) control.dataset.path = path;
  const name = h('label', { for: id }, label);
  if (control.type === 'checkbox') return h('div', { class: 'field check' }, control, name, notes);
  return h('div', { class: 'field' }, name, control, notes);
}

/** A field in a table, where the label is for screen readers only. */
export function cell(label, control, path) {
  const element = field(label, control, { path });
  element.querySelector('label').classList.add('hidden');
  return element;
}

export const input = (properties) => h('input', { type: 'text', autocomplete: 'off', ...properties });
export const decimal = (properties) => input({ type: 'number', inputmode: 'decimal', step: 'any', ...properties });
export const choice = (options, value = options[0]?.[0], properties = {}) =>
  h('select', { ...properties, value }, options.map(([key, text]) => h('option', { value: key }, text)));

// Values between the steps of a number are allowed, unless it is a whole one.
const isWrong = ({ validity, dataset }) => !validity.valid && (!validity.stepMismatch || 'whole' in dataset);

/** A form that shows what is wrong, by its limits or the server's, beside its field. `submit` takes values by name. */
export function form(properties, submit, ...children) {
  const problem = h('p', { class: 'problem', role: 'alert' });
  const element = h('form', { novalidate: true, ...properties }, ...children, problem);
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    clearErrors(element);
    problem.textContent = '';
    const wrong = [...element.elements].filter((control) => !control.closest('[hidden]') && isWrong(control));
    wrong.forEach((control) => showProblem(control, control.validationMessage));
    if (wrong.length > 0) return wrong[0].focus();
    const act = () => submit(Object.fromEntries(new FormData(element)));
    busily(element.querySelector('[type=submit]'), act).catch((error) => {
      const homeless = error.name === 'RefusedError' && showErrors(element, error.errors);
      if (homeless) problem.textContent = homeless.join(' ');
      else complain(error, (text) => (problem.textContent = text));
    });
  });
  return element;
}

export function clearErrors(element) {
  for (const control of element.querySelectorAll('[aria-invalid]')) {
    control.removeAttribute('aria-invalid');
    const notes = document.getElementById(`${control.id}-notes`);
    notes.classList.remove('problem');
    notes.textContent = notes.dataset.hint;
  }
}

function showProblem(control, message) {
  const notes = document.getElementById(`${control.id}-notes`);
  const isAnother = control.hasAttribute('aria-invalid');
  notes.textContent = isAnother ? `${notes.textContent}\n${message}` : message;
  notes.classList.add('problem');
  control.setAttribute('aria-invalid', 'true');
  for (let near = control.closest('details'); near; near = near.parentElement.closest('details')) near.open = true;
}

/** Put each error beside the field that its path begins with, in the words of the form: its labels, and the units of
 * its numbers. Return the messages of those that have none. */
export function showErrors(element, errors, focus = true) {
  const find = (selector) => element.querySelector(selector);
  const fieldOf = (name) => find(`[data-path~="${name}"], [data-path$=".${name}"]`);
  const labelOf = (name) => (fieldOf(name)?.labels[0] ?? find(`option[value="${name}"]`))?.textContent ?? name;
  const homeless = [];
  for (const { path, message } of errors) {
    const places = path.map((_, dropped) => CSS.escape(path.slice(0, path.length - dropped).join('.')));
    const control = places.map((place) => find(`[data-path~="${place}"]`)).find(Boolean);
    // Names of the API: in camelCase anywhere, else only where a sentence begins with one.
    const worded = message.replace(/\b[a-z]+[A-Z]\w*\b|^[a-z]+\b/g, labelOf);
    if (!control) homeless.push(worded);
    else showProblem(control, 'percent' in control.dataset ? `${worded} (Said in fractions: 0.01 is 1 %.)` : worded);
  }
  if (focus) find('[aria-invalid]')?.focus();
  return homeless;
}
