package serviceconfig_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

const whole = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [
		{"name": [{}], "timeout": "1s", "waitForReady": true},
		{"name": [{"service": "shop.v1.Cart"}, {"service": "shop.v1.Orders", "method": "List"}],
			"timeout": "1.5s", "maxRequestMessageBytes": 1024, "maxResponseMessageBytes": 0,
			"retryPolicy": {"maxAttempts": 9, "initialBackoff": "0.1s", "maxBackoff": "1s",
				"backoffMultiplier": 0.5, "retryableStatusCodes": ["UNAVAILABLE", 8]}},
		{"name": [{"service": "shop.v1.Cart", "method": "Get"}], "waitForReady": false,
			"hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0s", "nonFatalStatusCodes": ["INTERNAL"]}},
		{"timeout": "2s"}
	],
	"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
	"healthCheckConfig": {"serviceName": "shop"}
}`

func parse(t testing.TB, text string) *serviceconfig.Config {
	t.Helper()
	c, err := serviceconfig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestParse: all fields are read, and the rest is left to grpc-go.
func TestParse(t *testing.T) {
	c := parse(t, whole)
	if len(c.Methods) != 3 {
		t.Fatalf("%d entries, want the 3 with names", len(c.Methods))
	}
	def, cart, get := c.Methods[0], c.Methods[1], c.Methods[2]
	if !slices.Equal(def.Names, []string{"*"}) || def.Timeout != time.Second || !*def.WaitForReady || def.Retry != nil {
		t.Errorf("the default is %+v", def)
	}
	if !slices.Equal(cart.Names, []string{"shop.v1.Cart/*", "shop.v1.Orders/List"}) || cart.Timeout != 1500*time.Millisecond ||
		cart.WaitForReady != nil || *cart.MaxRequestBytes != 1024 || *cart.MaxResponseBytes != 0 {
		t.Errorf("Cart is %+v", cart)
	}
	if p := cart.Retry; p.MaxAttempts != 9 || p.InitialBackoff != 100*time.Millisecond || p.MaxBackoff != time.Second ||
		p.BackoffMultiplier != 0.5 || !slices.Equal(p.RetryableStatusCodes, []codes.Code{codes.Unavailable, codes.ResourceExhausted}) {
		t.Errorf("retryPolicy is %+v", p)
	}
	if p := get.Hedging; *get.WaitForReady || p.MaxAttempts != 3 || p.HedgingDelay != 0 ||
		!slices.Equal(p.NonFatalStatusCodes, []codes.Code{codes.Internal}) {
		t.Errorf("hedgingPolicy is %+v", p)
	}
	if *c.Throttling != (serviceconfig.Throttling{MaxTokens: 10, TokenRatio: 0.1}) {
		t.Errorf("retryThrottling is %+v", c.Throttling)
	}
	if !slices.Equal(c.Left, []string{"loadBalancingConfig", "healthCheckConfig"}) ||
		c.Rest() != `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": "shop"}}` {
		t.Errorf("left are %q, %s", c.Left, c.Rest())
	}
}

// TestEmpty: absent and null are nothing.
func TestEmpty(t *testing.T) {
	for _, text := range []string{
		`{}`, " {\n} ", `{"methodConfig": null, "retryThrottling": null}`, `{"methodConfig": []}`,
		`{"methodConfig": [{}, {"name": []}, {"name": null, "timeout": null}]}`,
	} {
		c := parse(t, text)
		if client := c.Client(); len(client.All()) != 0 || client.Budget != nil || c.Rest() != "{}" || len(c.Left) != 0 {
			t.Errorf("%s: %+v", text, client)
		}
	}
}

// entry is a service config with the fields of an entry for the method a.B/C.
func entry(fields string) string {
	return `{"methodConfig": [{"name": [{"service": "a.B", "method": "C"}], ` + fields + `}]}`
}

// retries is a service config with a retryPolicy in which old is replaced by replacement.
func retries(old, replacement string) string {
	const policy = `"retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2, ` +
		`"retryableStatusCodes": ["UNAVAILABLE"]}`
	if !strings.Contains(policy, old) {
		panic(old)
	}
	return entry(strings.Replace(policy, old, replacement, 1))
}

func names(list string) string { return `{"methodConfig": [{"name": ` + list + `}]}` }

// bad are mistakes, with their errors.
var bad = map[string]struct{ text, want string }{
	"nothing":             {``, "line 1, column 1: unexpected end of JSON input, want a JSON object"},
	"syntax":              {"{\n  \"methodConfig\": [}\n", "line 2, column 20: invalid character '}'"},
	"more":                {`{} {}`, "line 1, column 4: invalid character '{' after top-level value"},
	"null":                {`null`, "null, want an object"},
	"list":                {`[]`, "[], want an object"},
	"unknown":             {`{"methodConfigs": []}`, "methodConfigs: an unknown key, want one of connectionScaling, healthCheckConfig"},
	"case":                {`{"methodconfig": []}`, "methodconfig: an unknown key"},
	"twice":               {`{"methodConfig": [], "methodConfig": []}`, "methodConfig: twice in its object, want it once"},
	"no list":             {`{"methodConfig": {}}`, "methodConfig: {}, want a list"},
	"null entry":          {`{"methodConfig": [null]}`, "methodConfig[0]: null, want an object"},
	"unknown in entry":    {entry(`"retries": 1`), "methodConfig[0].retries: an unknown key, want one of hedgingPolicy,"},
	"null name":           {names(`[null]`), "methodConfig[0].name[0]: null, want an object"},
	"no name":             {names(`[3]`), "methodConfig[0].name[0]: 3, want an object"},
	"service":             {names(`[{"service": 3}]`), "methodConfig[0].name[0].service: 3, want a string"},
	"method alone":        {names(`[{"method": "Get"}]`), `methodConfig[0].name[0]: method "Get" without a service, want both`},
	"pattern":             {names(`[{"service": "*"}]`), `methodConfig[0].name[0]: {"service": "*"}, want names as in {"service": "shop.v1.Cart"`},
	"pattern of a method": {names(`[{"service": "a.B", "method": "*"}]`), `methodConfig[0].name[0]: {`},
	"slash":               {names(`[{"service": "/a.B"}]`), `methodConfig[0].name[0]: {"service": "/a.B"}, want names`},
	"two defaults":        {names(`[{}, {"service": ""}]`), "methodConfig[0].name[1]: *, the same name as methodConfig[0].name[0], want each name once"},
	"name twice": {
		`{"methodConfig": [{"name": [{"service": "a.B"}]}, {"name": [{"service": "c.D"}, {"service": "a.B", "method": ""}]}]}`,
		"methodConfig[1].name[1]: a.B/*, the same name as methodConfig[0].name[0], want each name once",
	},
	"timeout":            {entry(`"timeout": 1`), `methodConfig[0].timeout: 1, want seconds as text, such as "1.5s"`},
	"timeout of Go":      {entry(`"timeout": "1m"`), `methodConfig[0].timeout: "1m", want seconds as text`},
	"timeout of nothing": {entry(`"timeout": "s"`), `methodConfig[0].timeout: "s", want seconds as text`},
	"timeout of 0":       {entry(`"timeout": "0s"`), `methodConfig[0].timeout: "0s", want more than 0`},
	"negative timeout":   {entry(`"timeout": "-1s"`), `methodConfig[0].timeout: "-1s", want more than 0`},
	"a year":             {entry(`"timeout": "315576000001s"`), `methodConfig[0].timeout: "315576000001s", want seconds`},
	"picoseconds":        {entry(`"timeout": "0.0000000001s"`), `methodConfig[0].timeout: "0.0000000001s", want seconds`},
	"wait":               {entry(`"waitForReady": 1`), "methodConfig[0].waitForReady: 1, want true or false"},
	"wait over lines":    {entry("\"waitForReady\": {\n\"a\": [1,\n2]}"), `methodConfig[0].waitForReady: {"a":[1,2]}, want true or false`},
	"request bytes":      {entry(`"maxRequestMessageBytes": -1`), "methodConfig[0].maxRequestMessageBytes: -1, want a whole number of at least 0"},
	"response bytes":     {entry(`"maxResponseMessageBytes": "1"`), `methodConfig[0].maxResponseMessageBytes: "1", want a whole number`},
	"both policies": {
		entry(`"retryPolicy": {"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
			"retryableStatusCodes": [14]}, "hedgingPolicy": {"maxAttempts": 2}`),
		"methodConfig[0]: retryPolicy and hedgingPolicy, want one of them",
	},
	"no retryPolicy":   {entry(`"retryPolicy": []`), "methodConfig[0].retryPolicy: [], want an object"},
	"attempts missing": {retries(`"maxAttempts": 2, `, ""), "methodConfig[0].retryPolicy.maxAttempts: missing, want it in a retryPolicy"},
	"attempts null":    {retries(`"maxAttempts": 2`, `"maxAttempts": null`), "methodConfig[0].retryPolicy.maxAttempts: missing"},
	"one attempt":      {retries(`"maxAttempts": 2`, `"maxAttempts": 1`), "methodConfig[0].retryPolicy.maxAttempts: 1, want a whole number of at least 2"},
	"half an attempt":  {retries(`"maxAttempts": 2`, `"maxAttempts": 2.5`), "methodConfig[0].retryPolicy.maxAttempts: 2.5, want a whole number"},
	"initialBackoff":   {retries(`"0.1s"`, `"0s"`), `methodConfig[0].retryPolicy.initialBackoff: "0s", want more than 0`},
	"maxBackoff":       {retries(`"1s"`, `"-1s"`), `methodConfig[0].retryPolicy.maxBackoff: "-1s", want more than 0`},
	"multiplier":       {retries(`"backoffMultiplier": 2`, `"backoffMultiplier": 0`), "methodConfig[0].retryPolicy.backoffMultiplier: 0, want a number above 0"},
	"huge multiplier":  {retries(`"backoffMultiplier": 2`, `"backoffMultiplier": 1e999`), "methodConfig[0].retryPolicy.backoffMultiplier: 1e999, want a number above 0"},
	"shrinking": {
		strings.Replace(retries(`"backoffMultiplier": 2`, `"backoffMultiplier": 0.5`), `"1s"`, `"0.05s"`, 1),
		`methodConfig[0].retryPolicy.maxBackoff: "0.05s", want at least initialBackoff, 100ms, with a backoffMultiplier below 1`,
	},
	"no codes":    {retries(`["UNAVAILABLE"]`, `[]`), `methodConfig[0].retryPolicy.retryableStatusCodes: [], want at least one code`},
	"code":        {retries(`["UNAVAILABLE"]`, `["GONE"]`), `methodConfig[0].retryPolicy.retryableStatusCodes[0]: "GONE", want the code of an error`},
	"lower case":  {retries(`["UNAVAILABLE"]`, `["unavailable"]`), `retryableStatusCodes[0]: "unavailable", want the code of an error, such as "UNAVAILABLE"`},
	"17":          {retries(`["UNAVAILABLE"]`, `[14, 17]`), `retryableStatusCodes[1]: 17, want the code of an error`},
	"OK":          {retries(`["UNAVAILABLE"]`, `["OK"]`), `retryableStatusCodes[0]: "OK", want the code of an error`},
	"null code":   {retries(`["UNAVAILABLE"]`, `[null]`), `retryableStatusCodes[0]: null, want the code of an error`},
	"hedges":      {entry(`"hedgingPolicy": {}`), "methodConfig[0].hedgingPolicy.maxAttempts: missing, want it in a hedgingPolicy"},
	"one hedge":   {entry(`"hedgingPolicy": {"maxAttempts": 1}`), "methodConfig[0].hedgingPolicy.maxAttempts: 1, want a whole number of at least 2"},
	"delay":       {entry(`"hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "-1s"}`), `methodConfig[0].hedgingPolicy.hedgingDelay: "-1s", want 0 or more`},
	"fatal":       {entry(`"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": "INTERNAL"}`), `nonFatalStatusCodes: "INTERNAL", want a list`},
	"tokens":      {`{"methodConfig": [], "retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}`, "retryThrottling.maxTokens: 1001, want 1 to 1000"},
	"no tokens":   {`{"methodConfig": [], "retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}`, "retryThrottling.maxTokens: 0, want a whole number of at least 1"},
	"half tokens": {`{"methodConfig": [], "retryThrottling": {"maxTokens": 10.5, "tokenRatio": 1}}`, "retryThrottling.maxTokens: 10.5, want a whole number"},
	"ratio":       {`{"methodConfig": [], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0}}`, "retryThrottling.tokenRatio: 0, want a number above 0"},
	"tiny ratio":  {`{"methodConfig": [], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.0001}}`, "retryThrottling.tokenRatio: 0.0001, want at least 0.001"},
	"throttling":  {`{"methodConfig": [], "retryThrottling": {}}`, "retryThrottling.maxTokens: missing, want it in a retryThrottling\nserviceconfig: retryThrottling.tokenRatio: missing"},
	"unnamed":     {`{"methodConfig": [{"timeout": 3}]}`, "methodConfig[0].timeout: 3, want seconds as text"},
}

// TestErrors: each mistake is reported with its path, and with what would be right.
func TestErrors(t *testing.T) {
	for name, c := range bad {
		_, err := serviceconfig.Parse([]byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), "serviceconfig: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
		if err != nil && !strings.Contains(c.want, "\n") && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one error: %v", name, err)
		}
	}
}

// TestAllErrors: everything that is wrong is reported at once.
func TestAllErrors(t *testing.T) {
	_, err := serviceconfig.Parse([]byte(`{"methodConfig": [{"name": [{"method": "Get"}], "timeout": "x", "retryPolicy": {"maxAttempts": 1}},
		{"waitForReady": 0}], "retryThrottling": 3, "extra": 1}`))
	for _, want := range []string{
		"methodConfig[0].name[0]", "methodConfig[0].timeout", "methodConfig[0].retryPolicy.maxAttempts",
		"methodConfig[0].retryPolicy.maxBackoff", "methodConfig[1].waitForReady", "retryThrottling: 3", "extra",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

// TestOptions: hauberk.New reports what is wrong with the options of Client.
func TestOptions(t *testing.T) {
	throttled := parse(t, `{"retryThrottling": {"maxTokens": 10, "tokenRatio": 5000}}`)
	budget := retrybudget.New(retrybudget.Config{})
	for _, c := range []struct {
		config *serviceconfig.Config
		option serviceconfig.Option
		want   string
	}{
		{throttled, serviceconfig.WithBudget(budget), "WithBudget with a service config that has retryThrottling"},
		{throttled, serviceconfig.WithBudget(nil), "WithBudget was given a nil budget"},
		{throttled, serviceconfig.WithMaxCallAttempts(1), "WithMaxCallAttempts was given less than 2"},
		{throttled, nil, "option 1 of Client is nil"},
		{&serviceconfig.Config{}, serviceconfig.WithBudget(retrybudget.New(retrybudget.Config{Ratio: -1})), "Ratio is -1"},
		{parse(t, retries("", "")), serviceconfig.WithRetry(nil), "option 1 of New is nil"},
		{parse(t, entry(`"hedgingPolicy": {"maxAttempts": 2}`)), serviceconfig.WithHedge(nil), "option 1 of New is nil"},
	} {
		_, err := hauberk.New(c.config.Client(c.option).All()...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q in it", err, c.want)
		}
	}
	if _, err := hauberk.New(throttled.Client().All()...); err != nil {
		t.Error(err)
	}
	if _, err := hauberk.New(parse(t, whole).Client(serviceconfig.WithMaxCallAttempts(8)).All()...); err != nil {
		t.Error(err)
	}
}
