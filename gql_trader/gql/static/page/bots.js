// Bots: making, starting and stopping them, their guards, and their equity and trades as they happen.

import { mutate, query, queryAll, subscribe } from './client.js';
import { tradeTable } from './backtests.js';
import { drawEquity } from './charts.js';
import {
  BOT_DETAIL, BOT_EQUITY, BOT_STATUS, BOT_TRADES, BOTS, CREATE_BOT, DELETE_BOT, GUARDS, START_BOT, STOP_ALL_BOTS, STOP_BOT,
} from './documents.js';
import {
  address, bar, button, card, choice, complain, day, field, figures, form, h, heading, input, interval, link, money, noted, number,
  percent, quiet, replace, row, signed, submitButton, table, time, words,
} from './dom.js';
import { fetchCatalogue, moment, specFields } from './specform.js';

const stateOf = (bot) => h('span', { class: `state ${bot.state.toLowerCase()}` }, words(bot.state));
const isStarted = (bot) => ['PENDING', 'RUNNING', 'STOPPING'].includes(bot.state);

/** The button that fits the state. */
function startOrStop({ id, state }) {
  if (!isStarted({ state })) return button('Start', () => mutate(START_BOT, { id }));
  return button('Stop', () => mutate(STOP_BOT, { id }), { disabled: state === 'STOPPING' });
}

function feedOf({ replay }) {
  if (!replay) return 'live market';
  return `replay from ${day(replay.start)}${replay.end ? ` to ${day(replay.end)}` : ''}, speed ${replay.speed}`;
}

// ---- the list, and the form for another one ----

export async function showBots(main, { viewer, signal, go }) {
  const [catalogue, nodes] = await Promise.all([fetchCatalogue(signal), queryAll(BOTS, signal)]);
  const bots = new Map(nodes.map((bot) => [bot.id, bot]));
  const list = h('div');
  const mayTrade = viewer.role !== 'VIEWER';

  function show() {
    const columns = [
      ['Bot', (bot) => noted(link(address('bots', bot.id), bot.name), bot.strategy.name)],
      ['Market', (bot) => noted(`${bot.market.symbol} · ${interval(bot.interval)}`, `${words(bot.mode)}, ${feedOf(bot)}`, 'minor')],
      ['State', stateOf],
      ['Equity', (bot) => (bot.session ? money(bot.session.equity) : '–'), { number: true, minor: true }],
      ['Profit', ({ session }) => (session ? signed(session.profitFraction, percent(session.profitFraction)) : '–'), { number: true }],
      ['', (bot) => (mayTrade ? startOrStop(bot) : '')],
    ];
    replace(list, table('Bots', columns, [...bots.values()], 'No bot yet: make one. It trades on paper.'));
  }
  show();

  const stopAll = button('Stop all', () => mutate(STOP_ALL_BOTS, {}));
  main.replaceChildren(
    h('div', { class: 'columns' },
      mayTrade && botForm(catalogue, go),
      h('section', {}, bar(heading('Bots'), mayTrade && stopAll), list)),
  );
  follow(signal, BOT_STATUS, {}, ({ bot }) => {
    bots.set(bot.id, bot);
    show();
  });
}

function botForm(catalogue, go) {
  const name = input({ name: 'name', value: 'My bot' });
  const feed = choice([['live', 'live market'], ['replay', 'replay of history']], 'live', { name: 'feed' });
  const start = input({ type: 'date', name: 'replayStart' });
  const end = input({ type: 'date', name: 'replayEnd' });
  const speed = input({ type: 'number', min: 0, name: 'speed', value: 36000 });
  const replay = row(
    field('From', start, { path: 'feed.replay.start' }), field('To', end, { path: 'feed.replay.end' }),
    field('Speed', speed, { path: 'feed.replay.speed', hint: 'Market time over real time: at 36,000, ten hours a second. 0: at once.' }));
  replay.hidden = true;
  feed.addEventListener('change', () => (replay.hidden = feed.value === 'live'));
  const spec = specFields(catalogue, {}, { range: false });

  async function submit() {
    const history = () => ({ start: moment(start) ?? spec.element.dataset.start, end: moment(end), speed: Number(speed.value) });
    const chosen = feed.value === 'live' ? { live: true } : { replay: history() };
    const { bot } = await mutate(CREATE_BOT, { input: { ...spec.read(), name: name.value, mode: 'PAPER', feed: chosen } });
    go('bots', bot.id);
  }
  return form({ class: 'card', id: 'bot' }, submit, h('h2', {}, 'Make a bot'), field('Name', name, { path: 'name' }), spec.element,
    h('fieldset', {}, h('legend', {}, 'Bars from'), field('Feed', feed, { path: 'feed' }), replay),
    submitButton('Make'));
}

/** Call back with every event, until the page goes elsewhere. */
async function follow(signal, document, variables, heard) {
  try {
    for await (const event of subscribe(document, variables, signal)) heard(event);
  } catch (error) {
    complain(error);
  }
}

// ---- one ----

export async function showBot(main, { id, viewer, signal, go, reload }) {
  const { bot } = await query(BOT_DETAIL, { id }, signal);
  if (!bot) return main.replaceChildren(h('p', {}, 'There is no such bot.'));
  const { session } = bot;
  const top = h('div');
  const guards = h('div');
  const remove = async () => {
    await mutate(DELETE_BOT, { id });
    go('bots');
  };

  function show(now) {
    const about = [now.strategy.name, now.market.symbol, interval(now.interval), words(now.mode), feedOf(now)].join(' · ');
    replace(
      top,
      bar(
        heading(now.name, about),
        stateOf(now),
        viewer.role !== 'VIEWER' && [startOrStop(now), !isStarted(now) && button('Delete', remove)],
        h('a', { class: 'button', href: address('profit', id) }, 'Days')),
      h('p', { class: 'problem' }, now.error ?? ''),
      now.waitingFor ? quiet(`Waiting for the candle of ${time(now.waitingFor)}.`) : '',
    );
    guards.replaceChildren(...guardList(now.guards));
  }
  show(bot);

  const numbers = h('div', { class: 'live' });
  const frame = h('figure', { class: 'chart' });
  const trades = new Map(session?.trades.nodes.map((trade) => [trade.number, trade]));
  const ledger = h('div', { id: 'trades' });
  main.replaceChildren(
    top, numbers,
    card('Equity and drawdown', frame),
    h('div', { class: 'halves' }, card('Guards', guards), card('Trades, newest first', ledger)),
  );

  let latest = session && { equity: Number(session.equity), time: session.lastBarTime };
  const curve = session?.equityCurve ?? { time: [], equity: [], drawdown: [] };
  const extend = drawEquity(frame, curve, `Equity and drawdown of ${bot.name}`, signal);
  // A replay may tell of more bars in a second than anybody can see: draw what is there once a frame.
  let asked = false;
  const showNumbers = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      ledger.replaceChildren(tradeTable('Trades', [...trades.values()].sort((a, b) => b.number - a.number).slice(0, 50)));
      if (!latest) return;
      const { equity } = latest;
      const profit = equity - session.capital;
      numbers.replaceChildren(figures([
        [`Equity, ${bot.market.quote.symbol}`, money(equity), 'equity'],
        ['Profit', signed(profit, money(profit))],
        ['Return', signed(profit, percent(profit / session.capital))],
        ['Trades', number(trades.size && Math.max(...trades.keys()), 0), 'trades'],
        ['Last bar', time(latest.time)],
      ]));
    });
  };
  showNumbers();
  // Guards count trades; how far they are is asked at most twice a second.
  let counting = 0;
  const countAgain = () => {
    counting ||= setTimeout(async () => {
      counting = 0;
      if (signal.aborted) return;
      const { bot: now } = await query(GUARDS, { id }, signal).catch(() => ({}));
      if (now) guards.replaceChildren(...guardList(now.guards));
    }, 500);
  };
  follow(signal, BOT_STATUS, { botId: id }, ({ bot: now }) => {
    if (now.session?.id !== session?.id) reload();
    else show(now);
  });
  if (!session) return;
  follow(signal, BOT_EQUITY, { botId: id }, (event) => {
    if (event.sessionId !== session.id) return;
    latest = { equity: Number(event.equity), time: event.time };
    extend(Date.parse(event.time), latest.equity);
    showNumbers();
  });
  follow(signal, BOT_TRADES, { botId: id }, ({ trade }) => {
    if (trade.session.id !== session.id) return;
    trades.set(trade.number, { ...trade, live: true });
    showNumbers();
    countAgain();
  });
}

function guardList(guards) {
  if (guards.length === 0) return [quiet('None. Set them under Execution when you make a bot.')];
  return guards.map(({ kind, limit, used, resetsAt, tripped, trippedBy }) => {
    const write = ['MAX_DAILY_LOSS', 'DAILY_TARGET'].includes(kind) ? percent : (value) => number(value, 0);
    const label = words(kind);
    return h('div', { class: 'guard' },
      h('span', {}, label),
      h('meter', { max: limit, value: Math.max(0, used), 'aria-label': label }),
      h('span', {}, `${write(used)} of ${write(limit)}`),
      tripped && h('p', { class: 'problem' }, `${trippedBy ?? 'Tripped'}${resetsAt ? `, until ${time(resetsAt)}` : ''}`));
  });
}
