package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/gateway"
)

// limitFlags are the flags of limits. Zero values are the defaults of the gateway.
type limitFlags struct {
	message, header, upstreamHeader  size
	streams, connections, handshakes int
	age, grace, idle                 time.Duration
	ping                             time.Duration
	settings, resets, empty          int
	handshake, frame                 time.Duration
	messageTime, firstByte           time.Duration
	memory                           memory
}

func (l *limitFlags) add(flags *pflag.FlagSet) {
	flags.Var(&l.message, "max-message-size", "largest message of either side (default 16MiB and 64KiB)")
	flags.Var(&l.header, "max-header-size",
		fmt.Sprintf("largest header list of a client (default %s)", size(gateway.DefaultMaxHeaderListSize)))
	flags.Var(&l.upstreamHeader, "max-upstream-header-size", fmt.Sprintf(
		"largest header list of the upstream (default %s)", size(gateway.DefaultMaxUpstreamHeaderListSize)))
	flags.IntVar(&l.streams, "max-streams", 0, fmt.Sprintf(
		"concurrent calls of one connection (default %d, with --transport grpc 100)",
		gateway.DefaultMaxConcurrentStreams))
	flags.IntVar(&l.connections, "max-connections", 0,
		fmt.Sprintf("connections of clients (default %d)", gateway.DefaultMaxConnections))
	flags.IntVar(&l.handshakes, "max-handshakes", 0,
		fmt.Sprintf("connections of clients that have not completed TLS or begun HTTP/2 (default %d)",
			gateway.DefaultMaxHandshakes))
	flags.DurationVar(&l.age, "max-connection-age", 0,
		"age at which a client must connect again, +-10% (default: none)")
	flags.DurationVar(&l.grace, "max-connection-age-grace", 0,
		"how long calls may go on after --max-connection-age (default: no limit)")
	flags.DurationVar(&l.idle, "max-connection-idle", 0,
		fmt.Sprintf("how long a connection may have no calls (default %v)", gateway.DefaultMaxConnectionIdle))
	flags.DurationVar(&l.ping, "min-ping-interval", 0,
		fmt.Sprintf("least time between two PINGs of a client (default %v)", gateway.DefaultMinPingInterval))
	flags.IntVar(&l.settings, "max-settings-rate", 0, "SETTINGS per second of one connection (default 10)")
	flags.IntVar(&l.resets, "max-reset-rate", 0, "RST_STREAM per second of one connection (default 2000)")
	flags.IntVar(&l.empty, "max-empty-frame-rate", 0,
		"frames without effect per second of one connection (default 500)")
	flags.DurationVar(&l.handshake, "handshake-timeout", 0,
		fmt.Sprintf("how long a new connection may take for its first frames (default %v)",
			gateway.DefaultHandshakeTimeout))
	flags.DurationVar(&l.frame, "frame-timeout", 0, fmt.Sprintf(
		"how long a frame or header block may take that has begun (default %v)", gateway.DefaultFrameTimeout))
	flags.DurationVar(&l.messageTime, "message-timeout", 0, fmt.Sprintf(
		"how long a message may take that has begun, and a second more per 1000 bytes (default %v)",
		gateway.DefaultMessageTimeout))
	flags.DurationVar(&l.firstByte, "first-byte-timeout", 0,
		"how long the upstream may take for a response header (default: no limit)")
	flags.Var(&l.memory, "max-memory",
		"memory of the process, or percent of the cgroup's limit; 0 is no limit (default 75% if there is a limit)")
}

// apply sets the limits of a gateway.
func (l *limitFlags) apply(c *gateway.Config) {
	c.MaxMessageSize = int(l.message)
	c.MaxHeaderListSize, c.MaxUpstreamHeaderListSize = int(l.header), int(l.upstreamHeader)
	c.MaxConcurrentStreams, c.MaxConnections = l.streams, l.connections
	c.MaxHandshakes = l.handshakes
	c.MaxConnectionAge, c.MaxConnectionAgeGrace, c.MaxConnectionIdle = l.age, l.grace, l.idle
	c.MinPingInterval = l.ping
	c.MaxSettingsRate, c.MaxResetRate, c.MaxEmptyFrameRate = l.settings, l.resets, l.empty
	c.HandshakeTimeout, c.FrameTimeout = l.handshake, l.frame
	c.MessageTimeout, c.FirstByteTimeout = l.messageTime, l.firstByte
	c.MaxMemory = l.memory.limit()
}

// limitHeap makes the Go runtime collect garbage before it counts for the limit of memory. undo
// restores the setting.
func (l *limitFlags) limitHeap() (undo func()) {
	most := l.memory.limit()
	if most == 0 || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(most / 5 * 4)
	return func() { debug.SetMemoryLimit(before) }
}

// size is a flag of a number of bytes.
//
//nolint:recvcheck // Set sets the value
type size int

// Set parses a size such as 16KiB.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt32 {
		return errors.New("want a size such as 16KiB, up to 2GiB")
	}
	*s = size(n)
	return nil
}

// String returns the size, or "" for 0.
func (s size) String() string {
	if s == 0 {
		return ""
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(s)), " ", "")
}

// Type names the value in the help.
func (s *size) Type() string { return "size" }

// memory is the flag --max-memory. The zero value is its default.
type memory struct {
	text    string
	percent float64 // of the cgroup's limit
	bytes   int64
}

// defaultPercent is the default of --max-memory.
const defaultPercent = 75

// Set parses a size, or a percentage of the cgroup's limit.
func (m *memory) Set(text string) error {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return errors.New("want more than 0% and at most 100%")
		}
		if cgroupLimit() == 0 {
			return errors.New("the cgroup has no memory limit; want a size such as 512MiB")
		}
		*m = memory{text: text, percent: percent}
		return nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return errors.New("want a size such as 512MiB, a percentage such as 75%, or 0")
	}
	*m = memory{text: text, bytes: int64(n)}
	return nil
}

// String returns the flag as it was set.
func (m *memory) String() string { return m.text }

// Type names the value in the help.
func (m *memory) Type() string { return "size" }

// limit returns the limit in bytes. 0 is none.
func (m *memory) limit() int64 {
	if m.text != "" && m.percent == 0 {
		return m.bytes
	}
	return int64(float64(cgroupLimit()) * cmp.Or(m.percent, defaultPercent) / 100)
}

// cgroupLimit returns the memory limit of the process's cgroup, or 0 if there is none.
func cgroupLimit() uint64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > math.MaxInt64/2 {
		return 0
	}
	return limit
}
