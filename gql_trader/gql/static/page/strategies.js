// Strategies: looking at them, and an editor that shows the mistakes of a rule where they are.

import { mutate, notFound, queryAll, queryOne } from './client.js';
import * as documents from './documents.js';
import {
  address, bar, button, carefulButton, cell, choice, clearErrors, complain, field, form, h, heading, input, latest,
  link, more, quiet, replace, row, say, showErrors, submitButton, table, words,
} from './dom.js';
import { begin } from './backtests.js';

const RULES = [
  ['entryLong', 'Enter long when'], ['exitLong', 'Leave long when'],
  ['entryShort', 'Enter short when'], ['exitShort', 'Leave short when'],
];
const TYPES = ['INT', 'FLOAT', 'BOOL', 'CHOICE', 'SOURCE'].map((type) => [type, words(type)]);

export async function showStrategies(main, { id, viewer, signal, go, reload }) {
  const all = await queryAll(documents.STRATEGIES, signal);
  const [builtIn, own] = [true, false].map((kind) => all.filter(({ builtin }) => builtin === kind));
  // A new one begins as a copy of a simple one.
  const example = builtIn.find(({ codeRef }) => codeRef === 'builtin:ema_cross') ?? builtIn[0];
  const fresh = { ...example, id: undefined, builtin: false, name: 'My strategy', description: '' };
  const chosen = id && id !== 'new' ? all.find((strategy) => strategy.id === id) : ((!id && own[0]) || fresh);
  if (!chosen) throw notFound();
  const entry = (strategy) => {
    const current = strategy === chosen ? 'true' : null;
    return h('li', {}, h('a', { href: address('strategies', strategy.id), 'aria-current': current }, strategy.name));
  };
  const group = (title, members) => [
    h('h2', {}, title), members.length > 0 ? h('ul', { class: 'menu' }, members.map(entry)) : quiet('None yet.'),
  ];
  main.replaceChildren(
    h('div', { class: 'columns' },
      h('section', { class: 'card' }, link('#/strategies/new', 'Write a new one'),
        group('Yours', own), group('Built in', builtIn)),
      editor(chosen, viewer, { signal, go, reload })));
}

function editor(strategy, viewer, { signal, go, reload }) {
  const isOwn = Boolean(strategy.id) && !strategy.builtin;
  const name = strategy.builtin ? `${strategy.name}, my way` : strategy.name;
  const rules = RULES.map(([key, label]) => [key, label, codeField(strategy.rules?.[key] ?? '', key, 1)]);
  const plots = codeField((strategy.rules?.plots ?? []).join('\n'), 'plots', 2);
  const parameters = parameterRows(strategy.parameters ?? [], check);
  const verdict = h('p', { class: 'quiet', role: 'status' });

  const linesOf = ({ value }) => value.split('\n').map((text, line) => ({ text, line }));
  const plotLines = () => linesOf(plots).filter(({ text }) => text.trim() !== '');
  const read = () => ({
    ...Object.fromEntries(rules.map(([key, , control]) => [key, control.value.trim() === '' ? null : control.value])),
    plots: plotLines().map(({ text }) => text), parameters: parameters.read(),
  });

  // A moment after the last key the server looks at the rules; until they are saved, they are not left unasked.
  let timer = 0;
  const ask = latest(signal, (still) => queryOne(documents.CHECK_STRATEGY, { input: read() }, still));
  function check(isChanged = true) {
    element.toggleAttribute('data-unsaved', isChanged);
    clearTimeout(timer);
    timer = setTimeout(() => ask().then(show).catch(complain), 250);
  }

  function show({ valid, issues, warmupBars, indicators }) {
    clearErrors(element);
    // Each line to draw is a rule of its own to the server.
    const above = ([key, index]) => (key === 'plots' && plotLines()[index]?.line) || 0;
    const found = issues.map((issue) => ({ ...issue, line: issue.line + above(issue.path) }));
    const placeOf = ({ path, line, column }) => (path[0] === 'parameters' ? '' : `${line}:${column} `);
    const placed = found.map((issue) => ({ path: issue.path, message: placeOf(issue) + issue.message }));
    const homeless = showErrors(element, placed, false);
    for (const [key, , control] of [...rules, ['plots', '', plots]])
      control.mark(found.filter(({ path }) => path[0] === key));
    const used = indicators.length > 0 ? ` It uses ${indicators.join(', ')}.` : '';
    const bars = warmupBars === null ? '' : ` It needs ${warmupBars} bars before its first signal.`;
    verdict.textContent = valid ? `Valid.${bars}${used}` : [`${issues.length} to mend.`, ...homeless].join(' ');
    verdict.className = valid ? 'gain' : 'loss';
  }

  async function submit({ name: chosen, description }) {
    const { parameters: declared, ...rest } = read();
    const given = { name: chosen, description, rules: rest, parameters: declared };
    const known = { id: strategy.id, expectedVersion: strategy.version };
    const { strategy: saved } = isOwn
      ? await mutate(documents.UPDATE_STRATEGY, { input: { ...given, ...known } })
      : await mutate(documents.CREATE_STRATEGY, { input: given });
    say(`Saved as version ${saved.version}.`);
    if (isOwn) await reload();
    else leave(saved.id);
  }
  const leave = (...id) => {
    check(false);
    go('strategies', ...id);
  };
  const remove = () => mutate(documents.DELETE_STRATEGY, { id: strategy.id }).then(() => leave());
  const kind = `${strategy.codeRef ?? 'yours'} · version ${strategy.version}`;
  const element = form({ class: 'card' }, submit,
    bar(strategy.id ? heading(strategy.name, kind) : heading('A new strategy'),
      strategy.id && button('Backtest', () => begin({ strategyId: strategy.id }, go)),
      isOwn && carefulButton('Delete', `Delete ${strategy.name}?`, 'Its backtests stay.', remove)),
    row(field('Name', input({ name: 'name', value: name })),
      field('Description', input({ name: 'description', value: strategy.description }))),
    rules.map(([, label, control]) => control.labelled(label)),
    plots.labelled('Lines to draw, one each line'),
    h('fieldset', {}, h('legend', {}, 'Parameters'), parameters.element),
    verdict,
    viewer.role !== 'VIEWER' && submitButton(isOwn ? 'Save' : 'Save as mine'),
    reference(signal));
  element.addEventListener('input', () => check());
  check(false);
  return element;
}

/** A text field for rules that underlines where mistakes are; the underline lies behind the text. */
function codeField(text, path, rows) {
  const control = h('textarea', { rows, spellcheck: false, autocapitalize: 'off', name: path, value: text });
  const marks = h('div', { class: 'marks', 'aria-hidden': true });
  const follow = () => (marks.scrollTop = control.scrollTop);
  control.addEventListener('scroll', follow);
  control.addEventListener('input', () => marks.replaceChildren());

  /** Underline the word at each place; columns count characters, not UTF-16 units. */
  control.mark = (issues) => {
    const lines = control.value.split('\n').map((line) => [...line]);
    marks.replaceChildren(
      ...lines.flatMap((characters, index) => {
        const text = (from, to) => characters.slice(from, to).join('');
        const columns = issues.filter(({ line }) => line === index + 1).map(({ column }) => column);
        if (columns.length === 0) return [`${text(0)}\n`];
        const at = Math.max(0, Math.min(Math.min(...columns), characters.length) - 1);
        const length = Math.max(1, text(at).match(/^\w*/)[0].length);
        return [text(0, at), h('mark', {}, text(at, at + length) || ' '), `${text(at + length)}\n`];
      }));
    follow();
  };
  control.labelled = (label) => {
    // Checking and saving name the same rule by different paths.
    const element = field(label, control, { path: `${path} rules.${path}` });
    const frame = h('div', { class: 'code' }, marks);
    control.replaceWith(frame);
    frame.append(control);
    return element;
  };
  return control;
}

const COLUMNS = [
  ['Name', 'name', 'text'], ['Default', 'default', 'text'], ['Least', 'min', 'number'], ['Greatest', 'max', 'number'],
  ['Choices', 'choices', 'text'],
];

function parameterRows(given, changed) {
  const frame = h('div');
  let entries = given.map((parameter) => ({ ...parameter }));
  const change = (others) => {
    entries = others;
    show();
    changed();
  };

  function show() {
    const place = (row) => `of parameter ${entries.indexOf(row) + 1}`;
    const column = ([title, key, type]) => [title, (row) => {
      const value = [row[key] ?? ''].flat().join(', ');
      const shown = input({ type, step: 'any', value, oninput: () => (row[key] = shown.value) });
      return cell(`${title} ${place(row)}`, shown, `parameters.${entries.indexOf(row)}.${key}`);
    }];
    const onType = (row) => ({ target }) => (row.type = target.value);
    const type = (row) => choice(TYPES, row.type, { 'aria-label': `Type ${place(row)}`, onchange: onType(row) });
    const without = (row) => () => change(entries.filter((entry) => entry !== row));
    const remove = (row) => button('×', without(row), { 'aria-label': `Remove ${row.name}` });
    const columns = [...COLUMNS.map(column).toSpliced(1, 0, ['Type', type]), ['', remove]];
    const another = { name: `p${entries.length + 1}`, type: 'INT', default: 10 };
    const add = button('Add a parameter', () => change([...entries, another]));
    replace(frame, table('Parameters', columns, entries, 'None.'), add);
  }
  show();

  const isBlank = (value) => String(value ?? '').trim() === '';
  // What cannot be read as its type goes as it is: the server says what is wrong with it.
  const literal = (type, value) => {
    if (type === 'BOOL') return String(value) === 'true';
    const text = String(value).trim();
    return type !== 'SOURCE' && text !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  const read = () =>
    entries.map(({ name, type, default: usual, min, max, step, choices, description }) => {
      const isNumber = type === 'INT' || type === 'FLOAT';
      const amount = (value) => (isNumber && !isBlank(value) ? Number(value) : null);
      const options = () => [choices].flat().join(',').split(',').map((each) => literal(type, each));
      return {
        name, type, default: literal(type, usual), min: amount(min), max: amount(max), step: amount(step), description,
        choices: isNumber || type === 'BOOL' || isBlank(choices) ? null : options(),
      };
    });
  return { element: frame, read };
}

/** The functions that rules may use, fetched when they are wanted. */
function reference(signal) {
  const content = h('div');
  const details = more('Functions of the rule language', false, content);
  const columns = [
    ['Function', ({ signature }) => h('code', {}, signature)], ['Group', ({ group }) => words(group)],
    ['What it is', ({ description }) => description],
  ];
  const load = async () => {
    if (!details.open || content.firstChild) return;
    content.append(table('Functions', columns, await queryOne(documents.INDICATORS, {}, signal)));
  };
  details.addEventListener('toggle', () => load().catch(complain));
  return details;
}
