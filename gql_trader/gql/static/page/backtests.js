// Running backtests, following them, what came of one, and several side by side.

import { mutate, query, subscribe } from './client.js';
import { drawComparison, drawEquity, drawPrices, lineColour } from './charts.js';
import {
  BACKTEST_PLOT, BACKTEST_PROGRESS, BACKTEST_RESULT, BACKTESTS, CANCEL_BACKTEST, COMPARISON, DELETE_BACKTEST,
  LEDGER_PAGE, RUN_BACKTEST,
} from './documents.js';
import {
  address, bar, button, card, choice, complain, day, figures, form, h, heading, heat, input, interval, link, money, noted, number,
  percent, price, progressBar, quantity, quiet, signed, submitButton, table, time, words,
} from './dom.js';
import { fetchCatalogue, specFields } from './specform.js';

const ORDERS = [['CREATED_AT', 'newest'], ['SHARPE_RATIO', 'Sharpe ratio'], ['TOTAL_RETURN', 'return'], ['PROFIT_FACTOR', 'profit factor']];

const days = (value) => (value === null ? '–' : `${number(value, 1)} d`);
const hours = (value) => (value === null ? '–' : `${number(value, 1)} h`);

// Name, title, how to write it, and which is better: 1 the higher, -1 the lower, 0 neither.
const METRICS = [
  ['totalReturn', 'Return', percent, 1], ['cagr', 'Return a year', percent, 1], ['buyAndHoldReturn', 'Buy and hold', percent, 0],
  ['finalEquity', 'Final equity', money, 1], ['sharpeRatio', 'Sharpe ratio', number, 1], ['sortinoRatio', 'Sortino ratio', number, 1],
  ['calmarRatio', 'Calmar ratio', number, 1], ['omegaRatio', 'Omega ratio', number, 1],
  ['annualVolatility', 'Volatility a year', percent, -1], ['maxDrawdown', 'Deepest drawdown', percent, -1],
  ['maxDrawdownDurationDays', 'Longest drawdown', days, -1], ['ulcerIndex', 'Ulcer index', percent, -1],
  ['valueAtRisk95', 'Value at risk, 95 %', percent, 0], ['expectedShortfall95', 'Expected shortfall, 95 %', percent, 0],
  ['trades', 'Trades', (value) => number(value, 0), 0], ['winRate', 'Won', percent, 1], ['profitFactor', 'Profit factor', number, 1],
  ['expectancy', 'Expectancy', number, 1], ['payoffRatio', 'Payoff ratio', number, 1], ['sqn', 'SQN', number, 1],
  ['kelly', 'Kelly fraction', percent, 0], ['avgTradeReturn', 'Mean trade', percent, 1], ['bestTrade', 'Best trade', percent, 1],
  ['worstTrade', 'Worst trade', percent, 1], ['avgTradeDurationHours', 'Mean duration', hours, 0],
  ['maxConsecutiveWins', 'Wins in a row', (value) => number(value, 0), 0],
  ['maxConsecutiveLosses', 'Losses in a row', (value) => number(value, 0), -1], ['exposure', 'Time in the market', percent, 0],
  ['turnover', 'Turnover', number, 0], ['feesPaid', 'Fees', money, -1], ['fundingPaid', 'Funding', money, -1],
  ['alpha', 'Alpha', percent, 1], ['beta', 'Beta', number, 0],
];

const FIGURES = ['totalReturn', 'buyAndHoldReturn', 'finalEquity', 'sharpeRatio', 'maxDrawdown', 'trades', 'winRate', 'profitFactor'];

const titleOf = (run) => run.label ?? run.strategy.name;
const marketOf = (run) => `${run.market.symbol} · ${interval(run.interval)}`;
const parametersOf = (run) => Object.entries(run.parameters).map(([name, value]) => `${name} ${value}`).join(', ');

// What the next form begins with.
let draft;

/** Begin the next form for a backtest with this. */
export const runWith = (given) => (draft = given);

// ---- the list, and the form for another one ----

export async function showBacktests(main, { viewer, signal, go }) {
  const catalogue = await fetchCatalogue(signal);
  const chosen = new Set();
  const compare = h('button', { type: 'button', disabled: true }, 'Compare');
  compare.addEventListener('click', () => go('compare', [...chosen].join(',')));
  const order = choice(ORDERS, 'CREATED_AT', { 'aria-label': 'Order by' });
  const list = h('div');
  order.addEventListener('change', () => load().catch(complain));

  function tick(run) {
    const box = input({ type: 'checkbox', 'aria-label': `Compare ${titleOf(run)} of ${time(run.createdAt)}` });
    box.checked = chosen.has(run.id);
    box.addEventListener('change', () => {
      if (box.checked) chosen.add(run.id);
      else chosen.delete(run.id);
      compare.disabled = chosen.size < 2;
      compare.textContent = chosen.size < 2 ? 'Compare' : `Compare ${chosen.size}`;
    });
    return box;
  }

  const result = (run, cell) => (run.metrics ? cell(run.metrics) : h('span', { class: 'quiet' }, words(run.status)));
  async function load(shown = [], after = undefined) {
    const orderBy = [{ field: order.value, direction: 'DESC' }];
    const { nodes, pageInfo } = (await query(BACKTESTS, { orderBy, first: 20, after }, signal)).backtests;
    const rows = [...shown, ...nodes];
    const columns = [
      ['', tick],
      ['Run', (run) => noted(link(address('backtests', run.id), titleOf(run)), parametersOf(run))],
      ['Market', (run) => noted(marketOf(run), `${day(run.start)} – ${day(run.end)}`)],
      ['Return', (run) => result(run, ({ totalReturn }) => signed(totalReturn, percent(totalReturn))), { number: true }],
      ['Sharpe', (run) => result(run, ({ sharpeRatio }) => number(sharpeRatio)), { number: true }],
      ['Drawdown', (run) => result(run, ({ maxDrawdown }) => percent(maxDrawdown)), { number: true }],
      ['Trades', (run) => result(run, ({ trades }) => trades), { number: true }],
    ];
    list.replaceChildren(
      table('Backtests', columns, rows, 'No backtest yet: run one.'),
      pageInfo.hasNextPage ? button('More', () => load(rows, pageInfo.endCursor)) : '',
    );
  }

  await load();
  if (signal.aborted) return;
  const spec = specFields(catalogue, draft);
  draft = undefined;
  const submit = async () => {
    const { backtest } = await mutate(RUN_BACKTEST, { input: spec.read() });
    go('backtests', backtest.id);
  };
  main.replaceChildren(
    h('div', { class: 'columns' },
      viewer.role !== 'VIEWER' && form({ class: 'card', id: 'run' }, submit, h('h2', {}, 'Run a backtest'), spec.element,
        submitButton('Run')),
      h('section', {}, bar(heading('Backtests'), order, compare), list)),
  );
}

// ---- one ----

export async function showBacktest(main, { id, signal, go, reload }) {
  const run = (await query(BACKTEST_RESULT, { id }, signal)).backtest;
  if (!run) return main.replaceChildren(h('p', {}, 'There is no such backtest.'));
  const remove = async () => {
    await mutate(DELETE_BACKTEST, { id });
    go('backtests');
  };
  const again = () => {
    runWith({ ...run, strategyId: run.strategy.id, market: `${run.market.exchange}:${run.market.symbol}` });
    go('backtests');
  };
  const file = (href, text) => h('a', { class: 'button', href }, text);
  const head = bar(
    heading(titleOf(run), `${marketOf(run)} · ${day(run.start)} – ${day(run.end)} · ${run.bars.toLocaleString('en')} bars`),
    button('Change and run again', again),
    run.status === 'COMPLETED' && [file(run.reportUrl, 'Report'), file(run.dailyCsvUrl, 'Daily CSV'), file(run.ledgerCsvUrl, 'Ledger CSV')],
    ['QUEUED', 'RUNNING'].includes(run.status) ? button('Cancel', () => mutate(CANCEL_BACKTEST, { id })) : button('Delete', remove),
  );
  const facts = quiet(parametersOf(run));
  if (run.status !== 'COMPLETED') return follow(main, run, [head, facts], signal, reload);

  const { metrics, market: { quote } } = run;
  const charts = h('figure', { class: 'chart tall' }, quiet('A worker computes the indicators…'));
  const equity = h('figure', { class: 'chart' });
  main.replaceChildren(
    head, facts,
    figures(METRICS.filter(([name]) => FIGURES.includes(name)).map(([name, title, write]) =>
      [name === 'finalEquity' ? `${title}, ${quote.symbol}` : title, write(metrics[name]), name])),
    card('Prices and trades', charts),
    card('Equity and drawdown', equity),
    h('div', { class: 'halves' },
      card('Metrics', metricsTable([run])),
      card('Months', months(run.monthlyReturns), h('h2', {}, 'Ledger'), ledger(run, signal))),
  );
  drawEquity(equity, run.equity, `Equity and drawdown of ${titleOf(run)}`, signal);
  try {
    const { plot } = (await query(BACKTEST_PLOT, { id }, signal)).backtest;
    charts.replaceChildren();
    drawPrices(charts, plot, `Candles, indicators and trades of ${titleOf(run)}`, signal);
  } catch (error) {
    charts.replaceChildren(h('p', { class: 'problem' }, error.message));
    complain(error);
  }
}

async function follow(main, run, top, signal, reload) {
  const progress = progressBar('Progress of the backtest');
  progress.show(run.progress, words(run.status));
  const problem = h('p', { class: 'problem', role: 'alert' }, run.error ?? '');
  main.replaceChildren(...top, progress.element, problem);
  if (!['QUEUED', 'RUNNING'].includes(run.status)) return;
  for await (const event of subscribe(BACKTEST_PROGRESS, { id: run.id }, signal)) {
    const reached = event.barTime ? ` · ${time(event.barTime)} · equity ${money(event.equity)}` : '';
    progress.show(event.progress, `${words(event.status)} ${percent(event.progress, 0)}${reached}`);
    if (event.backtest) return reload();
  }
}

function metricsTable(runs) {
  const best = ([name, , , better]) => {
    const values = runs.map((run) => (run.metrics[name] === null ? null : Number(run.metrics[name])));
    const known = values.filter((value) => value !== null);
    if (!better || runs.length < 2 || new Set(known).size < 2) return null;
    return better > 0 ? Math.max(...known) : Math.min(...known);
  };
  const columns = [
    ['Metric', ([, title]) => title],
    ...runs.map((run, index) => [
      runs.length === 1 ? 'Value' : [h('span', { class: 'swatch', style: { background: lineColour(index) } }), titleOf(run)],
      (metric) => {
        const [name, , write] = metric;
        const value = run.metrics[name];
        const text = write(value === null ? null : Number(value));
        return value !== null && best(metric) === Number(value) ? h('strong', {}, text) : text;
      },
      { number: true },
    ]),
  ];
  return table('Metrics', columns, METRICS);
}

/** Returns by month: the deeper the colour, the more. */
function months(returns) {
  const years = Map.groupBy(returns, ({ year }) => year);
  const cell = (found) => {
    if (!found || found.return === null) return '';
    return heat(found.return < 0 ? 'loss' : 'gain', Math.min(1, Math.abs(found.return) * 8), percent(found.return, 1));
  };
  const columns = [
    ['Year', ([year]) => year],
    ...['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, index) => [
      name, ([, found]) => cell(found.find(({ month }) => month === index + 1)), { number: true },
    ]),
  ];
  return table('Returns by month', columns, [...years]);
}

/** Trades of a backtest or a bot; those that have come while somebody looks are marked. */
export function tradeTable(caption, trades) {
  const profit = (trade) => noted(signed(trade.profit, money(trade.profit)), percent(trade.profitFraction));
  const columns = [
    ['#', (trade) => h('span', { class: trade.live ? 'fresh' : null }, trade.number), { number: true }],
    ['Side', (trade) => words(trade.side)],
    ['Entry', (trade) => noted(price(trade.entryPrice), time(trade.entryTime)), { number: true }],
    ['Exit', (trade) => noted(price(trade.exitPrice), time(trade.exitTime)), { number: true }],
    ['Quantity', (trade) => quantity(trade.quantity), { number: true }],
    ['Profit', (trade) => (trade.profit === null ? 'open' : profit(trade)), { number: true }],
    ['Left by', (trade) => (trade.exitReason ? words(trade.exitReason) : '–')],
  ];
  return table(caption, columns, trades, 'No trade yet.');
}

function ledger(run, signal) {
  const frame = h('div', { id: 'ledger' });
  function show(trades, { totalCount, pageInfo }) {
    const more = async () => {
      const next = (await query(LEDGER_PAGE, { id: run.id, after: pageInfo.endCursor }, signal)).backtest.ledger;
      show([...trades, ...next.nodes], next);
    };
    frame.replaceChildren(
      tradeTable('Ledger', trades),
      quiet(`${trades.length} of ${totalCount}`, pageInfo.hasNextPage ? button('More', more) : ''),
    );
  }
  show(run.ledger.nodes, run.ledger);
  return frame;
}

// ---- several ----

export async function showComparison(main, { id, signal }) {
  const { nodes } = await query(COMPARISON, { ids: id.split(',') }, signal);
  const runs = nodes.filter((run) => run?.metrics);
  const frame = h('figure', { class: 'chart' });
  const names = runs.map((run, index) =>
    h('li', {}, h('span', { class: 'swatch', style: { background: lineColour(index) } }),
      noted(link(address('backtests', run.id), titleOf(run)), `${marketOf(run)} · ${parametersOf(run)}`)),
  );
  main.replaceChildren(
    heading(`Comparing ${runs.length} backtests`),
    h('ul', { class: 'names' }, names),
    card('Growth since the start', frame),
    card('Metrics; the best in bold', metricsTable(runs)),
  );
  drawComparison(frame, runs.map((run) => run.equity), 'Growth of each run', signal);
}
