package serviceconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// Config is a service config, as [Parse] returns it. It must not be modified. The zero value has no effect.
type Config struct {
	// Methods are the entries of methodConfig that have names, in their order.
	Methods []MethodConfig
	// Throttling is retryThrottling, or nil.
	Throttling *Throttling
	// Left are the keys of what the file has for grpc-go, in their order: see [Config.Rest].
	Left []string

	rest string // what Left names, as an object
}

// MethodConfig is an entry of methodConfig.
type MethodConfig struct {
	// Names are patterns of methods as hauberk.For takes them: "shop.v1.Cart/Get", "shop.v1.Cart/*", or "*" for
	// the methods that no other entry names.
	Names []string
	// Timeout is the longest time of a call, or 0 for none.
	Timeout time.Duration
	// WaitForReady is nil if the entry does not say.
	WaitForReady *bool
	// MaxRequestBytes and MaxResponseBytes are the greatest messages, or nil for no limit.
	MaxRequestBytes, MaxResponseBytes *int
	// Retry and Hedging are nil for none. At most one of them is set.
	Retry   *RetryPolicy
	Hedging *HedgingPolicy
}

// RetryPolicy is a retryPolicy.
type RetryPolicy struct {
	// MaxAttempts is at least 2, as the file has it: see [WithMaxCallAttempts].
	MaxAttempts                int
	InitialBackoff, MaxBackoff time.Duration
	BackoffMultiplier          float64
	RetryableStatusCodes       []codes.Code
}

// HedgingPolicy is a hedgingPolicy.
type HedgingPolicy struct {
	// MaxAttempts is at least 2, as the file has it: see [WithMaxCallAttempts].
	MaxAttempts int
	// HedgingDelay is 0 if all attempts start at once.
	HedgingDelay        time.Duration
	NonFatalStatusCodes []codes.Code
}

// Throttling is a retryThrottling.
type Throttling struct {
	MaxTokens  int
	TokenRatio float64
}

// Rest returns a service config in JSON with what is left to grpc-go, such as the loadBalancingConfig, for
// grpc.WithDefaultServiceConfig. It is "{}" if there is nothing.
func (c *Config) Rest() string {
	if c.rest == "" {
		return "{}"
	}
	return c.rest
}

// Parse returns the service config of a file in JSON, or everything that is wrong with it.
func Parse(data []byte) (*Config, error) {
	var errs errList
	v, err := root(data, &errs)
	if err != nil {
		return nil, fmt.Errorf("serviceconfig: %w", err)
	}
	c := new(Config)
	c.read(v)
	if len(errs.errs) == 0 {
		return c, nil
	}
	for i, err := range errs.errs {
		errs.errs[i] = fmt.Errorf("serviceconfig: %w", err)
	}
	return nil, errors.Join(errs.errs...)
}

// read reads the file.
func (c *Config) read(v value) {
	names := make(map[string]string)
	var rest []string
	left := func(key string) func(value) {
		return func(v value) {
			c.Left = append(c.Left, key)
			name, _ := json.Marshal(key)
			rest = append(rest, string(name)+": "+string(v.raw))
		}
	}
	v.object(map[string]func(value){
		"methodConfig": func(v value) {
			v.list(func(v value) {
				if m := readMethod(v, names); len(m.Names) > 0 {
					c.Methods = append(c.Methods, m)
				}
			})
		},
		"retryThrottling":     func(v value) { c.Throttling = readThrottling(v) },
		"loadBalancingConfig": left("loadBalancingConfig"),
		"loadBalancingPolicy": left("loadBalancingPolicy"),
		"healthCheckConfig":   left("healthCheckConfig"),
		"connectionScaling":   left("connectionScaling"),
	})
	if len(rest) > 0 {
		c.rest = "{" + strings.Join(rest, ", ") + "}"
	}
}

// readMethod reads an entry of methodConfig. names has the paths of the names of earlier entries.
func readMethod(v value, names map[string]string) (m MethodConfig) {
	var retries, hedging *value
	v.object(map[string]func(value){
		"name": func(v value) {
			v.list(func(v value) {
				if name := readName(v, names); name != "" {
					m.Names = append(m.Names, name)
				}
			})
		},
		"timeout":                 func(v value) { m.Timeout = v.duration(1) },
		"waitForReady":            func(v value) { m.WaitForReady = v.boolean() },
		"maxRequestMessageBytes":  func(v value) { m.MaxRequestBytes = readLimit(v) },
		"maxResponseMessageBytes": func(v value) { m.MaxResponseBytes = readLimit(v) },
		"retryPolicy":             func(v value) { retries, m.Retry = &v, readRetry(v) },
		"hedgingPolicy":           func(v value) { hedging, m.Hedging = &v, readHedging(v) },
	})
	if retries != nil && hedging != nil {
		v.failf("retryPolicy and hedgingPolicy, want one of them")
	}
	return m
}

// readName returns the pattern of a name, or "" for a bad one.
func readName(v value, names map[string]string) string {
	var service, method string
	bad := len(v.errs.errs)
	v.object(map[string]func(value){
		"service": func(v value) { service = v.text() },
		"method":  func(v value) { method = v.text() },
	})
	if len(v.errs.errs) > bad {
		return ""
	}
	name := service + "/" + method
	switch {
	case service == "" && method == "":
		name = "*"
	case service == "":
		v.failf("method %.100q without a service, want both, or neither for the default", method)
		return ""
	case method == "":
		name = service + "/*"
	}
	if name != "*" && !pattern.WellFormed(service, strings.Replace(method, "", "m", 1)) {
		v.wrong(`names as in {"service": "shop.v1.Cart", "method": "Get"}`)
		return ""
	}
	if other, twice := names[name]; twice {
		v.failf("%s, the same name as %s, want each name once", name, other)
		return ""
	}
	names[name] = v.path
	return name
}

// readLimit returns the limit of a message in bytes.
func readLimit(v value) *int {
	n, ok := v.integer(0)
	if !ok {
		return nil
	}
	limit := int(min(n, int64(maxInt)))
	return &limit
}

const maxInt = int(^uint(0) >> 1)

// required records the keys that an object has not.
func required(v value, has map[string]bool, keys ...string) {
	for _, key := range keys {
		if v.raw[0] == '{' && !has[key] {
			v.at(key, nil).failf("missing, want it in a %s", v.path[strings.LastIndexByte(v.path, '.')+1:])
		}
	}
}

// noting returns functions of keys, each of which notes in has that the key is there.
func noting(has map[string]bool, keys map[string]func(value)) map[string]func(value) {
	for key, read := range keys {
		keys[key] = func(v value) {
			has[key] = true
			read(v)
		}
	}
	return keys
}

func readRetry(v value) *RetryPolicy {
	var p RetryPolicy
	has := make(map[string]bool)
	var most value
	v.object(noting(has, map[string]func(value){
		"maxAttempts":       func(v value) { p.MaxAttempts = readAttempts(v) },
		"initialBackoff":    func(v value) { p.InitialBackoff = v.duration(1) },
		"maxBackoff":        func(v value) { p.MaxBackoff, most = v.duration(1), v },
		"backoffMultiplier": func(v value) { p.BackoffMultiplier, _ = v.positive() },
		"retryableStatusCodes": func(v value) {
			bad := len(v.errs.errs)
			p.RetryableStatusCodes = v.statusCodes()
			if len(p.RetryableStatusCodes) == 0 && len(v.errs.errs) == bad {
				v.wrong(`at least one code, such as ["UNAVAILABLE"]`)
			}
		},
	}))
	required(v, has, "maxAttempts", "initialBackoff", "maxBackoff", "backoffMultiplier", "retryableStatusCodes")
	if p.BackoffMultiplier > 0 && p.BackoffMultiplier < 1 && p.MaxBackoff > 0 && p.MaxBackoff < p.InitialBackoff {
		most.wrong("at least initialBackoff, %v, with a backoffMultiplier below 1", p.InitialBackoff)
	}
	return &p
}

func readHedging(v value) *HedgingPolicy {
	p := HedgingPolicy{NonFatalStatusCodes: []codes.Code{}}
	has := make(map[string]bool)
	v.object(noting(has, map[string]func(value){
		"maxAttempts":         func(v value) { p.MaxAttempts = readAttempts(v) },
		"hedgingDelay":        func(v value) { p.HedgingDelay = v.duration(0) },
		"nonFatalStatusCodes": func(v value) { p.NonFatalStatusCodes = v.statusCodes() },
	}))
	required(v, has, "maxAttempts")
	return &p
}

// readAttempts returns a maxAttempts.
func readAttempts(v value) int {
	const least = 2
	n, _ := v.integer(least)
	return int(min(n, int64(maxInt)))
}

func readThrottling(v value) *Throttling {
	var t Throttling
	has := make(map[string]bool)
	v.object(noting(has, map[string]func(value){
		"maxTokens": func(v value) {
			n, ok := v.integer(1)
			if ok && n > retrybudget.MaxTokens {
				v.wrong("1 to %d", retrybudget.MaxTokens)
			}
			t.MaxTokens = int(n)
		},
		"tokenRatio": func(v value) {
			const least = 0.001
			x, ok := v.positive()
			if ok && x < least {
				v.wrong("at least %v", least)
			}
			t.TokenRatio = x
		},
	}))
	required(v, has, "maxTokens", "tokenRatio")
	return &t
}
