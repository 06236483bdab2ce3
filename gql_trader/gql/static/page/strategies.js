// Strategies: looking at them, and an editor that shows the mistakes of a rule where they are.

import { mutate, query, queryAll } from './client.js';
import { CHECK_STRATEGY, CREATE_STRATEGY, DELETE_STRATEGY, INDICATORS, STRATEGIES, UPDATE_STRATEGY } from './documents.js';
import {
  address, bar, button, choice, clearErrors, complain, field, form, h, heading, input, link, quiet, say, showErrors, submitButton,
  table, words,
} from './dom.js';
import { runWith } from './backtests.js';

const RULES = [
  ['entryLong', 'Enter long when'], ['exitLong', 'Leave long when'], ['entryShort', 'Enter short when'], ['exitShort', 'Leave short when'],
];
const TYPES = ['INT', 'FLOAT', 'BOOL', 'CHOICE', 'SOURCE'].map((type) => [type, words(type)]);
const EXAMPLE = {
  name: 'My strategy', description: '', builtin: false,
  rules: {
    entryLong: 'crossover(ema(close, fast), ema(close, slow)) and rsi(close, 14) < 70',
    exitLong: 'crossunder(ema(close, fast), ema(close, slow))', plots: ['ema(close, fast)', 'ema(close, slow)'],
  },
  parameters: [{ name: 'fast', type: 'INT', default: 12, min: 2, max: 100 }, { name: 'slow', type: 'INT', default: 26, min: 2, max: 400 }],
};

export async function showStrategies(main, { id, viewer, signal, go, reload }) {
  const all = await queryAll(STRATEGIES, signal);
  const chosen = id === 'new' ? EXAMPLE : (all.find((strategy) => strategy.id === id) ?? all.find(({ builtin }) => !builtin) ?? EXAMPLE);
  const entry = (strategy) =>
    h('li', {}, h('a', { href: address('strategies', strategy.id), 'aria-current': strategy === chosen ? 'true' : null }, strategy.name));
  const group = (title, members) => [
    h('h2', {}, title), members.length > 0 ? h('ul', { class: 'menu' }, members.map(entry)) : quiet('None yet.'),
  ];
  const menu = [group('Yours', all.filter(({ builtin }) => !builtin)), group('Built in', all.filter(({ builtin }) => builtin))].flat();
  main.replaceChildren(
    h('div', { class: 'columns' },
      h('section', { class: 'card' }, link('#/strategies/new', 'Write a new one'), menu),
      editor(chosen, viewer, { signal, go, reload })),
  );
}

function editor(strategy, viewer, { signal, go, reload }) {
  const isOwn = Boolean(strategy.id) && !strategy.builtin;
  const name = input({ value: strategy.builtin ? `${strategy.name}, my way` : strategy.name, name: 'name' });
  const description = input({ value: strategy.description, name: 'description' });
  const rules = RULES.map(([key, label]) => [key, label, codeField(strategy.rules?.[key] ?? '', key, 1)]);
  const plots = codeField((strategy.rules?.plots ?? []).join('\n'), 'plots', 2);
  const parameters = parameterRows(strategy.parameters, check);
  const verdict = h('p', { class: 'quiet', role: 'status' });
  let checking = new AbortController();
  let timer = 0;

  const plotLines = () => plots.value.split('\n').map((line) => line.trim()).filter(Boolean);
  const read = () => ({
    ...Object.fromEntries(rules.map(([key, , control]) => [key, control.value.trim() === '' ? null : control.value])),
    plots: plotLines(), parameters: parameters.read(),
  });

  // A moment after the last key the server looks at the rules; an answer that is overtaken does not count.
  function check() {
    clearTimeout(timer);
    checking.abort();
    checking = new AbortController();
    const { signal: overtaken } = checking;
    timer = setTimeout(async () => {
      try {
        show((await query(CHECK_STRATEGY, { input: read() }, AbortSignal.any([signal, overtaken]))).checkStrategy);
      } catch (error) {
        complain(error);
      }
    }, 250);
  }

  function show({ valid, issues, warmupBars, indicators }) {
    clearErrors(element);
    const placed = issues.map(({ path, line, column, message }) => ({ path, message: `${line}:${column} ${message}` }));
    const homeless = showErrors(element, placed, false);
    for (const [key, , control] of rules) control.mark(issues.filter(({ path }) => path[0] === key));
    plots.mark(issues.filter(({ path }) => path[0] === 'plots').map((issue) => ({ ...issue, line: issue.line + Number(issue.path[1]) })));
    const used = indicators.length > 0 ? ` It uses ${indicators.join(', ')}.` : '';
    const bars = warmupBars === null ? '' : ` It needs ${warmupBars} bars before its first signal.`;
    verdict.textContent = valid ? `Valid.${bars}${used}` : [`${issues.length} to mend.`, ...homeless].join(' ');
    verdict.className = valid ? 'gain' : 'loss';
  }

  async function submit() {
    const { parameters: declared, ...rest } = read();
    const given = { name: name.value, description: description.value, rules: rest, parameters: declared };
    const { strategy: saved } = isOwn
      ? await mutate(UPDATE_STRATEGY, { input: { ...given, id: strategy.id, expectedVersion: strategy.version } })
      : await mutate(CREATE_STRATEGY, { input: given });
    say(`Saved as version ${saved.version}.`);
    if (isOwn) await reload();
    else go('strategies', saved.id);
  }
  const backtest = () => {
    runWith({ strategyId: strategy.id });
    go('backtests');
  };
  const remove = async () => {
    await mutate(DELETE_STRATEGY, { id: strategy.id });
    go('strategies');
  };

  const element = form(
    { class: 'card' },
    submit,
    bar(
      strategy.id ? heading(strategy.name, `${strategy.codeRef ?? 'yours'} · version ${strategy.version}`) : heading('A new strategy'),
      strategy.id && button('Backtest', backtest), isOwn && button('Delete', remove)),
    h('div', { class: 'fields wide' }, field('Name', name, { path: 'name' }), field('Description', description, { path: 'description' })),
    rules.map(([, label, control]) => control.labelled(label)),
    plots.labelled('Lines to draw, one each line'),
    h('fieldset', {}, h('legend', {}, 'Parameters'), parameters.element),
    verdict,
    viewer.role !== 'VIEWER' && submitButton(isOwn ? 'Save' : 'Save as mine'),
    reference(signal),
  );
  element.addEventListener('input', check);
  check();
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
      }),
    );
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

function parameterRows(given, changed) {
  const rows = h('div');
  let entries = given.map((parameter) => ({ ...parameter }));

  function show() {
    const control = (row, key, index, type = 'text') => {
      const label = `${key} of parameter ${index + 1}`;
      const shown = input({ type, step: 'any', value: [row[key] ?? ''].flat().join(', '), oninput: () => (row[key] = shown.value) });
      const element = field(label, shown, { path: `parameters.${index}.${key}` });
      element.firstChild.classList.add('hidden');
      return element;
    };
    const type = (row, index) =>
      choice(TYPES, row.type, { 'aria-label': `type of parameter ${index + 1}`, onchange: ({ target }) => (row.type = target.value) });
    const remove = (row) => button('×', () => {
      entries = entries.filter((entry) => entry !== row);
      show();
      changed();
    }, { 'aria-label': `Remove ${row.name}` });
    const indexed = entries.map((row, index) => [row, index]);
    const columns = [
      ['Name', ([row, index]) => control(row, 'name', index)],
      ['Type', ([row, index]) => type(row, index)],
      ['Default', ([row, index]) => control(row, 'default', index)],
      ['Least', ([row, index]) => control(row, 'min', index, 'number')],
      ['Greatest', ([row, index]) => control(row, 'max', index, 'number')],
      ['Choices', ([row, index]) => control(row, 'choices', index)],
      ['', ([row]) => remove(row)],
    ];
    rows.replaceChildren(
      table('Parameters', columns, indexed, 'None.'),
      button('Add a parameter', () => {
        entries.push({ name: `p${entries.length + 1}`, type: 'INT', default: 10, min: null, max: null, choices: null });
        show();
        changed();
      }),
    );
  }
  show();

  const isBlank = (value) => value === null || value === undefined || String(value).trim() === '';
  const amount = (value) => (isBlank(value) ? null : Number(value));
  // What cannot be read as its type goes as it is: the server says what is wrong with it.
  const literal = (type, value) => {
    if (type === 'BOOL') return String(value) === 'true';
    const text = String(value).trim();
    return type !== 'SOURCE' && text !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  const read = () =>
    entries.map(({ name, type, default: usual, min, max, step, choices, description }) => {
      const isNumber = type === 'INT' || type === 'FLOAT';
      const options = () => [choices].flat().join(',').split(',').map((each) => literal(type, each));
      return {
        name, type, default: literal(type, usual), min: isNumber ? amount(min) : null, max: isNumber ? amount(max) : null,
        step: isNumber ? amount(step) : null, choices: isBlank(choices) || isNumber || type === 'BOOL' ? null : options(), description,
      };
    });
  return { element: rows, read };
}

/** The functions that rules may use, fetched when they are wanted. */
function reference(signal) {
  const content = h('div');
  const details = h('details', {}, h('summary', {}, 'Functions of the rule language'), content);
  details.addEventListener('toggle', async () => {
    if (!details.open || content.firstChild) return;
    try {
      const { indicators } = await query(INDICATORS, {}, signal);
      const columns = [
        ['Function', ({ signature }) => h('code', {}, signature)], ['Group', ({ group }) => words(group)],
        ['What it is', ({ description }) => description],
      ];
      content.append(table('Functions', columns, indicators));
    } catch (error) {
      complain(error);
    }
  });
  return details;
}
