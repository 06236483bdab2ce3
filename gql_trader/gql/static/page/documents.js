// Every GraphQL document of this page. A test validates them against the schema.

export const VIEWER = /* GraphQL */ `query Viewer { me { id username role preferences { timezone } } }`;
export const SIGN_UP = /* GraphQL */ `
  mutation SignUp($input: SignupInput!) { signup(input: $input) { status message errors { code message path } } }`;

// ---- what there is to choose from ----
export const STRATEGIES = /* GraphQL */ `
  query Strategies($after: String) {
    strategies(first: 100, after: $after) {
      nodes {
        id name description builtin codeRef version rules { entryLong exitLong entryShort exitShort plots }
        parameters { name type default min max step choices description } defaultParameters
      }
      pageInfo { hasNextPage endCursor }
    }
  }`;
export const MARKETS = /* GraphQL */ `
  query Markets($after: String) {
    markets(first: 100, after: $after) { nodes { symbol exchange intervals } pageInfo { hasNextPage endCursor } }
  }`;
export const SERIES = /* GraphQL */ `
  query Series($symbol: String!, $exchange: String!, $interval: Interval!) {
    market(symbol: $symbol, exchange: $exchange) { priceSeries(interval: $interval) { count start end } }
  }`;

// ---- backtests ----
const EXECUTION = /* GraphQL */ `
  fragment ExecutionParts on Execution {
    fill direction makerFee takerFee slippage stopLoss takeProfit trailingStop trailingActivation minimalRoi
    maxDailyLoss dailyTarget maxDailyTrades cooldownBars maxDrawdown timezone leverage maintenanceMargin
    fundingRatePerDay sizing { equityFraction cash quantity riskFraction }
  }`;
const METRICS = /* GraphQL */ `
  fragment MetricsParts on Metrics {
    totalReturn cagr buyAndHoldReturn finalEquity sharpeRatio sortinoRatio calmarRatio omegaRatio annualVolatility
    maxDrawdown maxDrawdownDurationDays ulcerIndex valueAtRisk95 expectedShortfall95 trades winRate profitFactor
    expectancy payoffRatio sqn kelly avgTradeReturn bestTrade worstTrade avgTradeDurationHours maxConsecutiveWins
    maxConsecutiveLosses exposure turnover feesPaid fundingPaid alpha beta
  }`;
const BACKTEST = /* GraphQL */ `
  fragment BacktestHead on Backtest {
    id status progress error label interval start end bars initialCapital parameters durationMs createdAt
    strategy { id name } market { symbol exchange quote { symbol } }
  }`;
export const BACKTESTS = /* GraphQL */ `${BACKTEST}
  query Backtests($orderBy: [BacktestOrder!], $after: String) {
    backtests(orderBy: $orderBy, first: 20, after: $after) {
      nodes { ...BacktestHead metrics { totalReturn sharpeRatio maxDrawdown trades } }
      pageInfo { hasNextPage endCursor }
    }
  }`;
export const RUN_BACKTEST = /* GraphQL */ `
  mutation RunBacktest($input: RunBacktestInput!) {
    runBacktest(input: $input) { backtest { id } errors { code message path } }
  }`;
export const CANCEL_BACKTEST = /* GraphQL */ `
  mutation CancelBacktest($id: ID!) { cancelBacktest(input: { id: $id }) { errors { code message path } } }`;
export const DELETE_BACKTEST = /* GraphQL */ `
  mutation DeleteBacktest($id: ID!) { deleteBacktest(input: { id: $id }) { deletedId errors { code message path } } }`;
export const BACKTEST_PROGRESS = /* GraphQL */ `
  subscription BacktestProgress($id: ID!, $after: String) {
    backtestProgress(id: $id, after: $after) { cursor status progress barTime equity backtest { error } }
  }`;
const LEDGER = /* GraphQL */ `
  fragment LedgerPage on LedgerConnection {
    totalCount
    nodes { number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction fees bars exitReason }
    pageInfo { hasNextPage endCursor }
  }`;
export const BACKTEST_RESULT = /* GraphQL */ `${BACKTEST} ${EXECUTION} ${METRICS} ${LEDGER}
  query BacktestResult($id: ID!) {
    backtest(id: $id) {
      ...BacktestHead
      execution { ...ExecutionParts } metrics { ...MetricsParts }
      equity(maxPoints: 3000) { time equity drawdown } monthlyReturns { year month return }
      ledger(first: 25) { ...LedgerPage }
    }
  }`;
export const BACKTEST_FILES = /* GraphQL */ `
  query BacktestFiles($id: ID!) { backtest(id: $id) { dailyCsvUrl ledgerCsvUrl reportUrl } }`;
export const BACKTEST_PLOT = /* GraphQL */ `
  query BacktestPlot($id: ID!) {
    backtest(id: $id) {
      plot(maxPoints: 5000) {
        barsPerCandle candles { time open high low close } lines { label plot values }
        entries { time side } exits { time side }
      }
    }
  }`;
export const LEDGER_PAGE = /* GraphQL */ `${LEDGER}
  query Ledger($id: ID!, $after: String) { backtest(id: $id) { ledger(first: 50, after: $after) { ...LedgerPage } } }`;
export const COMPARISON = /* GraphQL */ `${BACKTEST} ${METRICS}
  query Comparison($ids: [ID!]!) {
    nodes(ids: $ids) {
      ... on Backtest { ...BacktestHead metrics { ...MetricsParts } equity(maxPoints: 1500) { time equity drawdown } }
    }
  }`;

// ---- strategies ----
export const CHECK_STRATEGY = /* GraphQL */ `
  query CheckStrategy($input: StrategyRulesInput!) {
    checkStrategy(input: $input) { valid warmupBars indicators issues { path line column message } }
  }`;
export const CREATE_STRATEGY = /* GraphQL */ `
  mutation CreateStrategy($input: CreateStrategyInput!) {
    createStrategy(input: $input) { strategy { id version } errors { code message path } }
  }`;
export const UPDATE_STRATEGY = /* GraphQL */ `
  mutation UpdateStrategy($input: UpdateStrategyInput!) {
    updateStrategy(input: $input) { strategy { id version } errors { code message path } }
  }`;
export const DELETE_STRATEGY = /* GraphQL */ `
  mutation DeleteStrategy($id: ID!) { deleteStrategy(input: { id: $id }) { deletedId errors { code message path } } }`;
export const INDICATORS = /* GraphQL */ `query Indicators { indicators { name group signature description } }`;

// ---- searches ----
export const SEARCHES = /* GraphQL */ `
  query Searches($after: String) {
    optimizations(first: 20, after: $after) {
      nodes { id status method objective trialsTotal trialsDone interval createdAt strategy { name } market { symbol } }
      pageInfo { hasNextPage endCursor }
    }
  }`;
export const RUN_SEARCH = /* GraphQL */ `
  mutation RunSearch($input: RunOptimizationInput!) {
    runOptimization(input: $input) { optimization { id } errors { code message path } }
  }`;
export const CANCEL_SEARCH = /* GraphQL */ `
  mutation CancelSearch($id: ID!) { cancelOptimization(input: { id: $id }) { errors { code message path } } }`;
export const SEARCH_PROGRESS = /* GraphQL */ `
  subscription SearchProgress($id: ID!, $after: String) {
    optimizationProgress(id: $id, after: $after) { cursor status progress trialsDone optimization { error } }
  }`;
export const SEARCH_RESULT = /* GraphQL */ `
  query SearchResult($id: ID!) {
    optimization(id: $id) {
      id status progress error method objective trialsTotal trialsDone interval start end
      ranges { name } strategy { name } market { symbol } significance { probabilisticSharpeRatio deflatedSharpeRatio }
      trials(first: 15, orderBy: { field: OBJECTIVE, direction: DESC }) {
        nodes { number parameters objective metrics { totalReturn maxDrawdown trades } }
      }
    }
  }`;
export const HEAT_MAP = /* GraphQL */ `
  query HeatMap($id: ID!, $x: String!, $y: String!) {
    optimization(id: $id) { heatmap(x: $x, y: $y) { xValues yValues best mean trials } }
  }`;
export const PROMOTE_TRIAL = /* GraphQL */ `
  mutation PromoteTrial($input: PromoteTrialInput!) {
    promoteTrial(input: $input) { backtest { id } errors { code message path } }
  }`;

// ---- bots ----
const BOT = /* GraphQL */ `
  fragment BotParts on Bot {
    id name state error interval mode initialCapital parameters waitingFor
    strategy { id name } market { symbol exchange quote { symbol } }
    exchangeKey { label apiKeyMasked exchange } replay { start end speed }
    guards { kind limit used resetsAt tripped trippedBy }
  }`;
const TRADE = /* GraphQL */ `
  fragment TradeParts on Trade {
    id number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction status exitReason
  }`;
export const BOTS = /* GraphQL */ `${BOT}
  query Bots($after: String) {
    bots(first: 100, after: $after) {
      nodes { ...BotParts session { id equity profitFraction } } pageInfo { hasNextPage endCursor }
    }
  }`;
export const BOT_DETAIL = /* GraphQL */ `${BOT} ${TRADE}
  query Bot($id: ID!) {
    bot(id: $id) {
      ...BotParts
      session {
        id capital equity lastBarTime
        trades(last: 50) { nodes { ...TradeParts } }
        equityCurve(maxPoints: 2000) { time equity drawdown }
      }
    }
  }`;
export const GUARDS = /* GraphQL */ `
  query Guards($id: ID!) { bot(id: $id) { guards { kind limit used resetsAt tripped trippedBy } } }`;
export const KEYS = /* GraphQL */ `query Keys { me { exchangeKeys { id exchange label apiKeyMasked permissions } } }`;
export const CREATE_BOT = /* GraphQL */ `
  mutation CreateBot($input: CreateBotInput!) { createBot(input: $input) { bot { id } errors { code message path } } }`;
export const START_BOT = /* GraphQL */ `
  mutation StartBot($input: StartBotInput!) { startBot(input: $input) { bot { id } errors { code message path } } }`;
export const STOP_BOT = /* GraphQL */ `
  mutation StopBot($id: ID!) { stopBot(input: { id: $id }) { bot { id } errors { code message path } } }`;
export const STOP_ALL = /* GraphQL */ `mutation StopAll { stopAllBots(input: {}) { errors { code message path } } }`;
export const DELETE_BOT = /* GraphQL */ `
  mutation DeleteBot($id: ID!) { deleteBot(input: { id: $id }) { deletedId errors { code message path } } }`;
export const BOT_STATUS = /* GraphQL */ `${BOT}
  subscription BotStatus($botId: ID, $after: String) {
    botStatus(botId: $botId, after: $after) { cursor state bot { ...BotParts session { id equity profitFraction } } }
  }`;
export const BOT_EQUITY = /* GraphQL */ `
  subscription BotEquity($botId: ID!, $after: String) {
    equity(botId: $botId, after: $after) { cursor time equity sessionId }
  }`;
export const BOT_TRADES = /* GraphQL */ `${TRADE}
  subscription BotTrades($botId: ID!, $after: String) {
    trades(botId: $botId, after: $after) { cursor trade { ...TradeParts session { id } } }
  }`;

// ---- profit ----
export const PROFIT = /* GraphQL */ `
  query Profit($botId: ID) {
    profit(botId: $botId) {
      currency balance profit profitFraction winRate trades today bestDay { date profit } worstDay { date profit }
    }
  }`;
export const BOT_NAMES = /* GraphQL */ `
  query BotNames($after: String) {
    bots(first: 100, after: $after) { nodes { id name session { lastBarTime } } pageInfo { hasNextPage endCursor } }
  }`;
export const MONTH = /* GraphQL */ `
  query Month($botId: ID, $first: Date!, $last: Date!, $start: DateTime!, $end: DateTime!) {
    calendar(botId: $botId, start: $first, end: $last) { date profit trades color }
    equityCurve(botId: $botId, start: $start, end: $end, maxPoints: 1000) { time equity drawdown }
  }`;

// ---- administration ----
export const USERS = /* GraphQL */ `
  query Users($status: [UserStatus!], $search: String) {
    users(status: $status, search: $search, first: 50) { totalCount nodes { id username email role status createdAt } }
  }`;
export const APPROVE_USER = /* GraphQL */ `
  mutation ApproveUser($id: ID!) { approveUser(input: { id: $id }) { user { id } errors { code message path } } }`;
export const DISABLE_USER = /* GraphQL */ `
  mutation DisableUser($id: ID!) { disableUser(input: { id: $id }) { user { id } errors { code message path } } }`;
export const ENABLE_USER = /* GraphQL */ `
  mutation EnableUser($id: ID!) { enableUser(input: { id: $id }) { user { id } errors { code message path } } }`;
