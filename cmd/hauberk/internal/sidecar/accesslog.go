package sidecar

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// accessLog are the flags of the log of calls that the built-in chain writes. The zero value logs all calls.
type accessLog struct {
	off          bool
	first, oneIn int
	levels       map[string]string // by the name of a code
}

func (a *accessLog) add(flags *pflag.FlagSet) {
	flags.BoolVar(&a.off, "access-log-off", false, "log no calls (not with --config: leave out the entry logging)")
	flags.IntVar(&a.first, "access-log-first", 0,
		"calls to log in each second, for each method and level, before --access-log-one-in applies")
	flags.IntVar(&a.oneIn, "access-log-one-in", 0,
		"log one in so many of the further calls, and all of level WARN and above\n"+
			"(default 1, with --access-log-first none)")
	flags.StringToStringVar(&a.levels, "access-log-levels", nil,
		"levels of calls by code: OK=debug,NOT_FOUND=warn; debug is not logged")
}

// check returns what is wrong with the flags.
func (a *accessLog) check(config string) error {
	sampled := a.first != 0 || a.oneIn != 0
	switch {
	case config != "" && (a.off || sampled || a.levels != nil):
		return errors.New("--access-log-off and the other flags of the access log are those of the built-in chain; " +
			"with --config, set sampling, levels and rules of the entry logging")
	case a.off && (sampled || a.levels != nil):
		return errors.New("--access-log-off is set with other flags of the access log, which then have no effect")
	case a.first < 0 || a.oneIn < 0:
		return fmt.Errorf("--access-log-first is %d and --access-log-one-in is %d; want positive numbers",
			a.first, a.oneIn)
	}
	_, err := a.config()
	return err
}

// config returns the configuration of the interceptor.
func (a *accessLog) config() (c logging.Config, err error) {
	c.Sampling = logging.Sampling{First: a.first, OneIn: a.oneIn}
	if len(a.levels) > 0 {
		c.Levels = make(map[codes.Code]slog.Level)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(a.levels)) {
		var code codes.Code
		var level slog.Level
		if code.UnmarshalJSON([]byte(`"`+strings.ToUpper(name)+`"`)) != nil {
			errs = append(errs, fmt.Errorf("--access-log-levels has the code %.100q; "+
				"want a name such as NOT_FOUND", name))
		}
		if level.UnmarshalText([]byte(a.levels[name])) != nil {
			errs = append(errs, fmt.Errorf("--access-log-levels has the level %.100q for %.100s; "+
				"want debug, info, warn or error", a.levels[name], name))
		}
		c.Levels[code] = level
	}
	return c, errors.Join(errs...)
}

// interceptors returns the interceptor, or none.
func (a *accessLog) interceptors(opts ...logging.Option) ([]hauberk.Interceptor, error) {
	config, err := a.config()
	if a.off || err != nil {
		return nil, err
	}
	return []hauberk.Interceptor{logging.New(config, opts...)}, nil
}
