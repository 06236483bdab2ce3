// Bots: making, starting and stopping them, their guards, and their equity and trades as they happen.

import { mutate, query, queryAll, subscribe } from './client.js';
import { drawEquity } from './charts.js';
import {
  BOT_DETAIL, BOT_EQUITY, BOT_STATUS, BOT_TRADES, BOTS, CREATE_BOT, DELETE_BOT, GUARDS, START_BOT, STOP_ALL_BOTS, STOP_BOT,
} from './documents.js';
import {
  button, choice, complain, day, field, figures, form, h, input, interval, link, money, number, percent, price, quantity, signed,
  table, time, words,
} from './dom.js';
import { fetchCatalogue, moment, specFields } from './specform.js';

const stateOf = (bot) => h('span', { class: `state ${bot.state.toLowerCase()}` }, words(bot.state));
const isStarted = (bot) => ['PENDING', 'RUNNING', 'STOPPING'].includes(bot.state);
const profitOf = ({ session }) => (session ? signed(session.profitFraction, percent(session.profitFraction)) : '–');

/** The button that fits the state. */
const startOrStop = (bot) =>
  isStarted(bot) ? button('Stop', () => mutate(STOP_BOT, { id: bot.id }), { disabled: bot.state === 'STOPPING' }) : button('Start', () => mutate(START_BOT, { id: bot.id }));

// ---- the list, and the form for another one ----

export async function showBots(main, { viewer, signal, go }) {
  const [catalogue, nodes] = await Promise.all([fetchCatalogue(signal), queryAll(BOTS, signal)]);
  const bots = new Map(nodes.map((bot) => [bot.id, bot]));
  const list = h('div');
  const mayTrade = viewer.role !== 'VIEWER';

  function show() {
    const columns = [
      ['Bot', (bot) => [link(`#/bots/${encodeURIComponent(bot.id)}`, bot.name), h('small', {}, bot.strategy.name)]],
      ['Market', (bot) => [`${bot.market.symbol} · ${interval(bot.interval)}`, h('small', {}, bot.replay ? `replay from ${day(bot.replay.start)}` : `${words(bot.mode)}, live market`)]],
      ['State', stateOf],
      ['Equity', (bot) => (bot.session ? money(bot.session.equity) : '–'), { number: true }],
      ['Profit', profitOf, { number: true }],
      ['', (bot) => (mayTrade ? startOrStop(bot) : '')],
    ];
    list.replaceChildren(table('Bots', columns, [...bots.values()], 'No bot yet: make one. It trades on paper.'));
  }
  show();

  const stopAll = button('Stop all', async () => {
    await mutate(STOP_ALL_BOTS, {});
  });
  main.replaceChildren(
    h('div', { class: 'columns' },
      mayTrade && botForm(catalogue, go),
      h('section', {}, h('div', { class: 'bar' }, h('h1', { tabindex: -1 }, 'Bots'), mayTrade && stopAll), list)),
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
  const replay = h('div', { class: 'fields', hidden: true },
    field('From', start, { path: 'feed.replay.start' }), field('To', end, { path: 'feed.replay.end' }),
    field('Speed', speed, { path: 'feed.replay.speed', hint: 'Market time over real time: at 36,000, ten hours a second. 0: at once.' }));
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
    h('button', { type: 'submit', class: 'primary' }, 'Make'));
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
    const feed = now.replay ? `replay from ${day(now.replay.start)}${now.replay.end ? ` to ${day(now.replay.end)}` : ''}, speed ${now.replay.speed}` : 'live market';
    top.replaceChildren(
      h('div', { class: 'bar' },
        h('h1', { tabindex: -1 }, now.name, h('small', {}, `${now.strategy.name} · ${now.market.symbol} · ${interval(now.interval)} · ${words(now.mode)} · ${feed}`)),
        stateOf(now),
        viewer.role !== 'VIEWER' && [startOrStop(now), !isStarted(now) && button('Delete', remove)]),
      h('p', { class: 'problem' }, now.error ?? ''),
      now.waitingFor ? h('p', { class: 'quiet' }, `Waiting for the candle of ${time(now.waitingFor)}.`) : '',
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
    h('section', { class: 'card' }, h('h2', {}, 'Equity and drawdown'), frame),
    h('div', { class: 'halves' }, h('section', { class: 'card' }, h('h2', {}, 'Guards'), guards), h('section', { class: 'card' }, h('h2', {}, 'Trades, newest first'), ledger)),
  );

  let latest = session && { equity: Number(session.equity), time: session.lastBarTime };
  const extend = drawEquity(frame, session?.equityCurve ?? { time: [], equity: [], drawdown: [] }, `Equity and drawdown of ${bot.name}`, signal);
  // A replay may tell of more bars in a second than anybody can see: draw what is there once a frame.
  let asked = false;
  const showNumbers = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      ledger.replaceChildren(tradeTable([...trades.values()].sort((a, b) => b.number - a.number).slice(0, 50)));
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

function tradeTable(trades) {
  const columns = [
    ['#', (trade) => h('span', { class: trade.live ? 'fresh' : null }, trade.number), { number: true }],
    ['Side', (trade) => words(trade.side)],
    ['Entry', (trade) => [price(trade.entryPrice), h('small', {}, time(trade.entryTime))], { number: true }],
    ['Exit', (trade) => [price(trade.exitPrice), h('small', {}, time(trade.exitTime))], { number: true }],
    ['Quantity', (trade) => quantity(trade.quantity), { number: true }],
    ['Profit', (trade) => (trade.profit === null ? 'open' : [signed(trade.profit, money(trade.profit)), h('small', {}, percent(trade.profitFraction))]), { number: true }],
    ['Left by', (trade) => (trade.exitReason ? words(trade.exitReason) : '–')],
  ];
  return table('Trades', columns, trades, 'No trade yet.');
}

function guardList(guards) {
  if (guards.length === 0) return [h('p', { class: 'quiet' }, 'None. Set them under Execution when you make a bot.')];
  return guards.map(({ kind, limit, used, resetsAt, tripped, trippedBy }) => {
    const write = ['MAX_DAILY_LOSS', 'DAILY_TARGET'].includes(kind) ? percent : (value) => number(value, 0);
    const label = words(kind);
    return h('div', { class: 'guard' },
      h('span', {}, label), h('meter', { max: limit, value: Math.max(0, used), 'aria-label': label }), h('span', {}, `${write(used)} of ${write(limit)}`),
      tripped && h('p', { class: 'problem' }, `${trippedBy ?? 'Tripped'}${resetsAt ? `, until ${time(resetsAt)}` : ''}`));
  });
}
