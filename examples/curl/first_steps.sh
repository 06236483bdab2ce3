#!/usr/bin/env bash
# First steps with gql_trader: sign in, look around, run a backtest, read its result, trade on paper.
#
#   GQL_TRADER_PASSWORD=… ./first_steps.sh
#
# Needs bash 4, curl and jq. Subscriptions come as server-sent events, a line "data: {…}" for each.
set -euo pipefail

url=${GQL_TRADER_URL:-http://127.0.0.1:8000/graphql}
login=${GQL_TRADER_LOGIN:-demo}
: "${GQL_TRADER_PASSWORD:?is what 'gql-trader up' printed}"
authorization=()

# post QUERY VARIABLES [OPTIONS OF CURL]: send an operation.
post() {
  jq --null-input --arg query "$1" --argjson variables "$2" '{$query, $variables}' |
    curl --silent --show-error "$url" "${authorization[@]}" \
      --header 'Content-Type: application/json' --data @- "${@:3}"
}

# graphql QUERY [VARIABLES]: print the data, or fail with the errors, those in a mutation's payload too.
graphql() {
  post "$1" "${2:-null}" | jq '(.errors // [.data[] | objects | .errors[]?]) as $errors
    | if $errors == [] then .data else $errors | halt_error end'
}

# follow QUERY VARIABLES: print the data of each event, one a line, until the subscription completes.
follow() {
  post "$1" "$2" --no-buffer --header 'Accept: text/event-stream' |
    jq --raw-input --unbuffered --compact-output 'select(startswith("data: {"))[6:] | fromjson
      | if .errors then .errors | halt_error else .data end'
}

# Sign in, and make an API token of our own that may do no more than what follows, for an hour.
token=$(graphql 'mutation($input: LoginInput!) {
  login(input: $input) { accessToken errors { message path } }
}' "$(jq --null-input --arg login "$login" '{input: {$login, password: env.GQL_TRADER_PASSWORD}}')" |
  jq --raw-output .login.accessToken)
authorization=(--header "Authorization: Bearer $token")
token=$(graphql 'mutation($input: CreateApiTokenInput!) {
  createApiToken(input: $input) { secret errors { message path } }
}' "$(jq --null-input '{input: {
  label: "first steps with curl", scopes: ["READ", "BACKTEST", "TRADE"], expiresAt: (now + 3600 | todate)
}}')" | jq --raw-output .createApiToken.secret)
authorization=(--header "Authorization: Bearer $token")

found=$(graphql '{
  strategies(first: 5) { nodes { slug name } }
  markets(first: 5) { nodes { symbol exchange intervals } }
  strategy(slug: "golden-cross") { id name defaultParameters }
}')
jq --raw-output '"Strategies: \([.strategies.nodes[].slug] | join(", "))",
  "Markets: \([.markets.nodes[] | "\(.exchange):\(.symbol)"] | join(", "))"' <<<"$found"

traded=$(jq '{
  strategyId: .strategy.id, market: "demo:BTC/USD", interval: "H1",
  parameters: {fast: 20, slow: 100}, execution: {stopLoss: 0.05, takerFee: 0.001}
}' <<<"$found")
started=$(graphql 'mutation($input: RunBacktestInput!) {
  runBacktest(input: $input) { backtest { id bars } cached errors { message path } }
}' "{\"input\": $traded}")
jq --raw-output '.runBacktest
  | "Backtest of \(.backtest.bars) bars\(if .cached then ", computed before" else "" end)"' <<<"$started"
backtest=$(jq .runBacktest.backtest.id <<<"$started")
follow 'subscription($id: ID!) { backtestProgress(id: $id) { status progress } }' "{\"id\": $backtest}" |
  jq --raw-output --unbuffered '.backtestProgress | "  \(.status) \(.progress * 100 | round) %"'

graphql 'query($id: ID!, $first: Int!, $after: String) {
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
}' "{\"id\": $backtest, \"first\": 5}" | jq --raw-output '.backtest
  | if .metrics then . else .error | halt_error end
  | "Metrics: \(.metrics)", "The first of \(.ledger.totalCount) trades:",
    (.ledger.nodes[] | "  \(.number) \(.side) \(.entryPrice) -> \(.exitPrice): \(.profit) (\(.exitReason))")'
# The next page is the same query with "after": .ledger.pageInfo.endCursor.

# A bot that trades a month of history on paper, in about three seconds.
month='{"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z", "speed": 1000000}'
wanted=$(jq --argjson month "$month" '. + {name: "First steps with curl", feed: {replay: $month}}' \
  <<<"$traded")
bot=$(graphql 'mutation($input: CreateBotInput!) {
  createBot(input: $input) { bot { id } errors { message path } }
}' "{\"input\": $wanted}" | jq .createBot.bot.id)
graphql 'mutation($input: StartBotInput!) {
  startBot(input: $input) { bot { state } errors { message path } }
}' "{\"input\": {\"id\": $bot}}" >/dev/null

# Two subscriptions at once, which go on until they are ended: jobs, each killed with all that it started.
set -o monitor
follow 'subscription($botId: ID!) {
  trades(botId: $botId) { trade { number side status entryPrice exitPrice profit } }
}' "{\"botId\": $bot}" | jq --raw-output --unbuffered '.trades.trade | "  Trade \(.number) (\(.side)) \(
  if .status == "OPEN" then "opened at \(.entryPrice)" else "closed at \(.exitPrice): \(.profit)" end)"' &
coproc status {
  follow 'subscription($botId: ID!) {
    botStatus(botId: $botId) { state bot { error session { profit } } }
  }' "{\"botId\": $bot}"
}
trap 'kill %1 %2' EXIT
while read -r event <&"${status[0]}"; do
  state=$(jq --raw-output .botStatus.state <<<"$event")
  echo "Bot $state"
  case $state in
    FAILED)
      jq --raw-output .botStatus.bot.error <<<"$event" >&2
      exit 1
      ;;
    STOPPED)
      jq --raw-output '"Profit on paper: \(.botStatus.bot.session.profit)"' <<<"$event"
      exit
      ;;
  esac
done
echo 'The server has ended the subscription.' >&2
exit 1
