package gradient

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// The defaults of [Config].
const (
	DefaultInitial    = 20
	DefaultMin        = 4
	DefaultMax        = 1000
	DefaultTolerance  = 1.5
	DefaultWindow     = 100 * time.Millisecond
	DefaultProbeEvery = 30 * time.Second
)

// greatest is the greatest limit.
const greatest = 1 << 20

// Config configures a [Limit]. The zero value has the defaults.
type Config struct {
	// Initial is the limit before the first window.
	Initial int
	// Min and Max bound the limit.
	Min, Max int
	// Tolerance is how many times the baseline the median may be, 1.1 to 10.
	Tolerance float64
	// Window is the least length of a window.
	Window time.Duration
	// ProbeEvery is how often the baseline is examined.
	ProbeEvery time.Duration
}

// WithDefaults returns c with defaults in place of zeros. The default of Initial is within
// Min and Max.
func (c Config) WithDefaults() Config {
	c.Min = cmp.Or(c.Min, DefaultMin)
	c.Max = cmp.Or(c.Max, max(DefaultMax, c.Min))
	if c.Initial == 0 {
		c.Initial = min(max(DefaultInitial, c.Min), c.Max)
	}
	c.Tolerance = cmp.Or(c.Tolerance, DefaultTolerance)
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.ProbeEvery = cmp.Or(c.ProbeEvery, DefaultProbeEvery)
	return c
}

// Validate returns an error that names the value that is out of range, of a configuration with
// its defaults.
func (c Config) Validate() error {
	switch {
	case c.Min < 1 || c.Min > greatest:
		return fmt.Errorf("gradient: Min is %d; want 1 to %d, or 0 for %d", c.Min, greatest, DefaultMin)
	case c.Max < c.Min || c.Max > greatest:
		return fmt.Errorf("gradient: Max is %d; want Min, %d, to %d, or 0 for %d", c.Max, c.Min, greatest, DefaultMax)
	case c.Initial < c.Min || c.Initial > c.Max:
		return fmt.Errorf("gradient: Initial is %d; want Min to Max, %d to %d", c.Initial, c.Min, c.Max)
	case !(c.Tolerance >= 1.1 && c.Tolerance <= 10) || math.IsNaN(c.Tolerance):
		return fmt.Errorf("gradient: Tolerance is %v; want 1.1 to 10, or 0 for %v", c.Tolerance, DefaultTolerance)
	case c.Window < time.Millisecond || c.Window > time.Hour:
		return fmt.Errorf("gradient: Window is %v; want 1ms to 1h, or 0 for %v", c.Window, DefaultWindow)
	case c.ProbeEvery < c.Window:
		return fmt.Errorf("gradient: ProbeEvery is %v; want at least Window, %v, or 0 for %v",
			c.ProbeEvery, c.Window, DefaultProbeEvery)
	}
	return nil
}

// Outcome is what the end of a call says about the server.
type Outcome uint8

// The outcomes of calls.
const (
	Ignored  Outcome = iota // nothing
	Success                 // its duration counts
	AtLeast                 // it would have taken longer: its duration counts from the baseline on
	Overload                // the server has too much to do
)
