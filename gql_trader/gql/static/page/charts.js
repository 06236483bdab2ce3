// Charts on TradingView's Lightweight Charts. Colours come from the stylesheet, so that light and dark are one matter.

import * as lightweight from './vendor/lightweight-charts.js';
import { button, h, price } from './dom.js';

const still = matchMedia('(prefers-reduced-motion: reduce)');
const dark = matchMedia('(prefers-color-scheme: dark)');
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const LINES = ['line-1', 'line-2', 'line-3', 'line-4', 'line-5', 'line-6'];

/** Colours of curves in their order, for legends beside a chart. */
export const lineColour = (index) => `var(--${LINES[index % LINES.length]})`;

const PERCENT = { type: 'custom', minMove: 0.0001, formatter: (value) => `${(100 * value).toFixed(1)} %` };
const seconds = (milliseconds) => milliseconds / 1000;

/** Points for a line; where there is no value, there is a gap. */
const points = (times, values) =>
  times.map((time, index) => ({ time: seconds(time), ...(values[index] !== null && { value: values[index] }) }));

/** A chart that fills its frame, follows light and dark, listens to the keyboard and goes with the signal. */
function makeChart(frame, label, signal) {
  const canvas = h('div', {
    class: 'canvas', tabindex: 0, role: 'application', 'aria-roledescription': 'chart',
    'aria-label': `${label}. Arrow keys move, plus and minus zoom, 0 shows everything.`,
  });
  frame.append(canvas);
  const options = { autoSize: true, kineticScroll: { touch: !still.matches }, layout: { attributionLogo: false } };
  const chart = lightweight.createChart(canvas, options);
  const painters = [
    () => chart.applyOptions({
      layout: {
        background: { color: 'transparent' }, textColor: colour('quiet'), fontFamily: 'system-ui, sans-serif',
        panes: { separatorColor: colour('border'), separatorHoverColor: colour('border') },
      },
      grid: { vertLines: { color: colour('grid') }, horzLines: { color: colour('grid') } },
      rightPriceScale: { borderColor: colour('border') },
      timeScale: { borderColor: colour('border'), timeVisible: true, secondsVisible: false, minBarSpacing: 0.05 },
    }),
  ];
  const paint = () => painters.forEach((painter) => painter());
  paint();
  dark.addEventListener('change', paint, { signal });
  canvas.addEventListener('keydown', (event) => moveByKey(chart, event), { signal });
  signal.addEventListener('abort', () => chart.remove());
  return {
    chart,
    /** Add a series; `options` is a function, since colours change. */
    add(kind, options, pane = 0) {
      const series = chart.addSeries(kind, options(), pane);
      painters.push(() => series.applyOptions(options()));
      return series;
    },
    onPaint: (painter) => painters.push(painter),
  };
}

function moveByKey(chart, event) {
  const scale = chart.timeScale();
  const range = scale.getVisibleLogicalRange();
  if (!range) return;
  const width = range.to - range.from;
  const [shift, growth] = {
    ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], '+': [0, -0.2], '=': [0, -0.2], '-': [0, 0.25],
  }[event.key] ?? [0, 0];
  if (event.key === '0') scale.fitContent();
  else if (shift || growth) {
    const [from, to] = [range.from + width * (shift - growth / 2), range.to + width * (shift + growth / 2)];
    scale.setVisibleLogicalRange({ from, to });
  } else return;
  event.preventDefault();
}

/** Candles with indicator lines and trades; indicators of another size than prices have a pane of their own. */
export function drawPrices(frame, { candles, barsPerCandle, lines, entries, exits }, label, signal) {
  const times = candles.time;
  const { chart, add, onPaint } = makeChart(frame, label, signal);
  const bars = add(lightweight.CandlestickSeries, () => ({
    upColor: colour('gain'), downColor: colour('loss'), wickUpColor: colour('gain'), wickDownColor: colour('loss'),
    borderVisible: false, priceLineVisible: false,
  }));
  bars.setData(times.map((time, i) => ({
    time: seconds(time), open: candles.open[i], high: candles.high[i], low: candles.low[i], close: candles.close[i],
  })));

  const low = Math.min(...candles.low);
  const high = Math.max(...candles.high);
  const drawn = lines.map(({ label: title, plot, values }, index) => {
    const known = values.filter((value) => value !== null).sort((a, b) => a - b);
    const middle = known[Math.floor(known.length / 2)];
    const series = add(
      lightweight.LineSeries,
      () => ({
        color: colour(LINES[index % LINES.length]), lineWidth: 1, lineStyle: plot ? 0 : 2,
        priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
      }),
      middle > low / 3 && middle < high * 3 ? 0 : 1);
    series.setData(points(times, values));
    return { title, series };
  });
  chart.panes()[0].setStretchFactor(3);

  const scale = chart.timeScale();
  const markers = lightweight.createSeriesMarkers(bars, []);
  const all = [...markersOf(entries, times, true), ...markersOf(exits, times, false)].sort((a, b) => a.time - b.time);
  const hint = h('span', { class: 'quiet', hidden: true }, 'Zoom in to see the trades.');
  const mark = () => {
    const drawn = hint.hidden ? all : [];
    markers.setMarkers(drawn.map(({ name, ...marker }) => ({ ...marker, color: colour(name) })));
  };
  mark();
  onPaint(mark);
  // Where so many are in sight that they would hide the candles, there are none.
  scale.subscribeVisibleTimeRangeChange((range) => {
    const inSight = all.filter(({ time }) => time >= range?.from && time <= range.to).length;
    const isCrowded = inSight > frame.clientWidth / 6;
    if (isCrowded !== hint.hidden) return;
    hint.hidden = !isCrowded;
    mark();
  });
  const latest = () => scale.setVisibleLogicalRange({ from: times.length - 250, to: times.length + 5 });
  frame.append(
    legend(chart, bars, drawn, barsPerCandle, hint),
    h('span', { class: 'zoom' }, button('Latest', latest), button('Everything', () => scale.fitContent())));
  latest();
}

// Arrows where positions were opened, dots where they were closed, on the side where the price came from; at the candle
// in which the trade filled, which may be several bars. Times rise, of trades and of candles.
function markersOf({ time, side }, times, isEntry) {
  let candle = 0;
  return time.map((each, i) => {
    while (times[candle + 1] <= each) candle += 1;
    const isLong = side[i] === 'LONG';
    const place = { time: seconds(times[candle]), position: isLong === isEntry ? 'belowBar' : 'aboveBar' };
    if (!isEntry) return { ...place, shape: 'circle', name: 'accent', size: 0.4 };
    return { ...place, shape: isLong ? 'arrowUp' : 'arrowDown', name: isLong ? 'gain' : 'loss', size: 0.8 };
  });
}

/** What the lines are, and the numbers under the crosshair. */
function legend(chart, bars, drawn, barsPerCandle, hint) {
  const scale = barsPerCandle > 1 ? `${barsPerCandle} bars a candle` : '';
  const quote = h('span', {}, scale);
  const values = drawn.map(() => h('span'));
  const rows = drawn.map(({ title }, i) => h('span', { style: { color: lineColour(i) } }, `${title} `, values[i]));
  chart.subscribeCrosshairMove(({ seriesData }) => {
    const bar = seriesData.get(bars);
    const prices = bar && [bar.open, bar.high, bar.low, bar.close].map((each, i) => `${'OHLC'[i]} ${price(each)}`);
    quote.textContent = prices?.join(' ') ?? scale;
    drawn.forEach(({ series }, i) => (values[i].textContent = price(seriesData.get(series)?.value ?? null)));
  });
  return h('div', { class: 'legend', 'aria-hidden': true }, quote, rows, hint);
}

/** Equity above drawdown; returns a function that adds a point to both. */
export function drawEquity(frame, { time, equity, drawdown }, label, signal) {
  const { chart, add } = makeChart(frame, label, signal);
  const above = add(lightweight.AreaSeries, () => ({
    lineColor: colour('accent'), topColor: colour('accent-soft'), bottomColor: 'transparent', lineWidth: 2,
    priceLineVisible: false,
  }));
  const below = add(
    lightweight.BaselineSeries,
    () => ({
      baseValue: { type: 'price', price: 0 }, bottomLineColor: colour('loss'), bottomFillColor1: colour('loss-soft'),
      bottomFillColor2: colour('loss-soft'), topLineColor: colour('loss'), lineWidth: 1, priceLineVisible: false,
      priceFormat: PERCENT,
    }),
    1);
  chart.panes()[0].setStretchFactor(2);
  above.setData(points(time, equity));
  below.setData(points(time, drawdown.map((depth) => -depth)));
  // Until somebody looks closer, all of it stays in sight.
  let isTouched = false;
  const fit = () => isTouched || chart.timeScale().fitContent();
  fit();
  chart.timeScale().subscribeSizeChange(fit);
  for (const kind of ['pointerdown', 'wheel', 'keydown'])
    frame.addEventListener(kind, () => (isTouched = true), { passive: true });
  let last = time.at(-1) ?? -Infinity;
  let peak = equity.reduce((a, b) => Math.max(a, b), -Infinity);
  return (milliseconds, value) => {
    if (milliseconds < last) return;
    last = milliseconds;
    peak = Math.max(peak, value);
    above.update({ time: seconds(milliseconds), value });
    below.update({ time: seconds(milliseconds), value: value / peak - 1 });
    fit();
  };
}

/** Equity of several runs as growth since each began. */
export function drawComparison(frame, curves, label, signal) {
  const { chart, add } = makeChart(frame, label, signal);
  curves.forEach(({ time, equity }, index) => {
    const style = { lineWidth: 2, priceLineVisible: false, priceFormat: PERCENT };
    const series = add(lightweight.LineSeries, () => ({ color: colour(LINES[index % LINES.length]), ...style }));
    series.setData(points(time, equity.map((value) => value / equity[0] - 1)));
  });
  chart.timeScale().fitContent();
}
