// First steps with gql_trader: sign in, look around, run a backtest, read its result, trade on paper.
//
//   GQL_TRADER_PASSWORD=… npm start
import { Api, accepted } from './client.js';
import { graphql } from './gql/index.js';

const Login = graphql(`
  mutation Login($input: LoginInput!) {
    login(input: $input) { accessToken errors { message path } }
  }
`);

const CreateToken = graphql(`
  mutation CreateToken($input: CreateApiTokenInput!) {
    createApiToken(input: $input) { secret errors { message path } }
  }
`);

const Overview = graphql(`
  query Overview {
    strategies(first: 5) { nodes { slug name } }
    markets(first: 5) { nodes { symbol exchange intervals } }
    strategy(slug: "golden-cross") { id name defaultParameters }
  }
`);

const RunBacktest = graphql(`
  mutation RunBacktest($input: RunBacktestInput!) {
    runBacktest(input: $input) { backtest { id bars } cached errors { message path } }
  }
`);

const Progress = graphql(`
  subscription Progress($id: ID!) {
    backtestProgress(id: $id) { status progress }
  }
`);

const Result = graphql(`
  query Result($id: ID!, $first: Int!, $after: String) {
    backtest(id: $id) {
      status
      error
      metrics { totalReturn sharpeRatio maxDrawdown trades finalEquity }
      ledger(first: $first, after: $after) {
        totalCount
        nodes { number side entryTime entryPrice exitPrice profit exitReason }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

const CreateBot = graphql(`
  mutation CreateBot($input: CreateBotInput!) {
    createBot(input: $input) { bot { id } errors { message path } }
  }
`);

const StartBot = graphql(`
  mutation StartBot($input: StartBotInput!) {
    startBot(input: $input) { bot { state } errors { message path } }
  }
`);

const BotStatus = graphql(`
  subscription BotStatus($botId: ID!) {
    botStatus(botId: $botId) { state bot { error session { profit } } }
  }
`);

const Trades = graphql(`
  subscription Trades($botId: ID!) {
    trades(botId: $botId) { trade { number side status entryPrice exitPrice profit } }
  }
`);

const url = process.env.GQL_TRADER_URL ?? 'http://127.0.0.1:8000/graphql';
const login = process.env.GQL_TRADER_LOGIN ?? 'demo';
const password = process.env.GQL_TRADER_PASSWORD;
if (!password) throw new Error('Set GQL_TRADER_PASSWORD to what `gql-trader up` printed.');

/** Sign in, and return an API token of our own that may do no more than what follows, for an hour. */
async function newToken(password: string): Promise<string> {
  const { login: session } = await new Api(url).execute(Login, { input: { login, password } });
  const signedIn = new Api(url, accepted(session).accessToken!);
  const { createApiToken } = await signedIn.execute(CreateToken, {
    input: {
      label: 'first steps in TypeScript',
      scopes: ['READ', 'BACKTEST', 'TRADE'],
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    },
  });
  return accepted(createApiToken).secret!;
}

const api = new Api(url, await newToken(password));
const socket = api.connect();

const { strategies, markets, strategy } = await api.execute(Overview, {});
console.log('Strategies:', strategies!.nodes.map((each) => each.slug).join(', '));
console.log('Markets:', markets!.nodes.map((each) => `${each.exchange}:${each.symbol}`).join(', '));

const traded = {
  strategyId: strategy!.id,
  market: 'demo:BTC/USD',
  interval: 'H1' as const,
  parameters: { fast: 20, slow: 100 },
  execution: { stopLoss: 0.05, takerFee: 0.001 },
};
const { runBacktest } = await api.execute(RunBacktest, { input: traded });
const { id, bars } = accepted(runBacktest).backtest!;
console.log(`Backtest of ${bars} bars${runBacktest.cached ? ', computed before' : ''}`);
for await (const { backtestProgress } of socket.follow(Progress, { id })) {
  console.log(`  ${backtestProgress.status} ${Math.round(backtestProgress.progress * 100)} %`);
}

const { backtest } = await api.execute(Result, { id, first: 5 });
if (!backtest?.metrics || !backtest.ledger) throw new Error(backtest?.error ?? 'There is no result.');
console.log('Metrics:', backtest.metrics);
console.log(`The first of ${backtest.ledger.totalCount} trades:`);
for (const each of backtest.ledger.nodes) {
  console.log(`  ${each.number} ${each.side} ${each.entryPrice} -> ${each.exitPrice}: ${each.profit} (${each.exitReason})`);
}
// The next page is the same query with { after: backtest.ledger.pageInfo.endCursor }.

// A bot that trades a month of history on paper, in about three seconds.
const { createBot } = await api.execute(CreateBot, {
  input: {
    ...traded,
    name: 'First steps in TypeScript',
    feed: { replay: { start: '2024-03-01T00:00:00Z', end: '2024-04-01T00:00:00Z', speed: 1_000_000 } },
  },
});
const botId = accepted(createBot).bot!.id;
accepted((await api.execute(StartBot, { input: { id: botId } })).startBot);

const shown = (async () => {
  for await (const { trades: { trade } } of socket.follow(Trades, { botId })) {
    const what = trade.status === 'OPEN' ? `opened at ${trade.entryPrice}` : `closed at ${trade.exitPrice}: ${trade.profit}`;
    console.log(`  Trade ${trade.number} (${trade.side}) ${what}`);
  }
})();
for await (const { botStatus: { state, bot } } of socket.follow(BotStatus, { botId })) {
  console.log(`Bot ${state}`);
  if (state === 'FAILED') throw new Error(bot.error ?? 'The bot failed.');
  if (state === 'STOPPED') {
    console.log(`Profit on paper: ${bot.session!.profit}`);
    break;
  }
}
// That subscription goes on for as long as the socket.
await socket.close();
await shown;
