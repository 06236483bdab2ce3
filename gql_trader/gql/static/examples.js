'use strict';

// The tabs that GraphiQL opens with for somebody who has no tabs of their own yet.
window.GQL_TRADER_EXAMPLES = [
  {
    query: `# Welcome to gql_trader.
#
# Sign in at the top: your requests then carry
# your token, as the Headers tab below shows.
# Ctrl+Enter runs this query. The book icon on
# the left explains every type and field.

query Overview {
  me {
    username
    role
  }
  strategies(first: 5) {
    nodes {
      id
      slug
      name
    }
  }
  markets(first: 5) {
    nodes {
      symbol
      exchange
      intervals
    }
  }
}
`,
  },
  {
    query: `# What the form at the top does, by hand.

mutation SignIn($input: LoginInput!) {
  login(input: $input) {
    accessToken
    expiresAt
    user {
      username
      role
    }
    errors {
      code
      message
    }
  }
}
`,
    variables: `{
  "input": {
    "login": "demo",
    "password": ""
  }
}`,
  },
  {
    query: `# A worker runs it: watch it in the next tab.
# The variables below name the strategy "EMA and
# RSI"; the first tab shows the ids of others.

mutation RunBacktest($input: RunBacktestInput!) {
  runBacktest(input: $input) {
    backtest {
      id
      status
    }
    cached
    errors {
      code
      message
      path
    }
  }
}
`,
    variables: `{
  "input": {
    "strategyId": "U3RyYXRlZ3k6YjE1ZTZmNTYtNzQ4Mi01OWEwLWIzNWMtMGIxZTRlMzMxMDI1",
    "market": "BTC/USD",
    "interval": "H1",
    "initialCapital": "10000"
  }
}`,
  },
  {
    query: `# Live over WebSocket; a run that has ended
# answers with its result at once. With an
# empty id, this page fills in that of the
# backtest that you ran last.

subscription Progress($id: ID!) {
  backtestProgress(id: $id) {
    status
    progress
    barTime
    equity
    backtest {
      metrics {
        totalReturn
        sharpeRatio
        maxDrawdown
        trades
        finalEquity
      }
    }
  }
}
`,
    variables: `{
  "id": ""
}`,
  },
  {
    query: `# The best runs with the first trades of each,
# in one request.

query BestBacktests {
  backtests(
    where: { sharpeRatio: { gt: 0 } }
    orderBy: [{ field: SHARPE_RATIO, direction: DESC }]
    first: 5
  ) {
    totalCount
    nodes {
      id
      label
      strategy {
        name
      }
      metrics {
        sharpeRatio
        totalReturn
        maxDrawdown
      }
      ledger(first: 3) {
        nodes {
          side
          entryTime
          exitTime
          profitFraction
          exitReason
        }
      }
    }
  }
}
`,
  },
];
