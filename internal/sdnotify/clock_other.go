//go:build !linux

package sdnotify

import (
	"errors"
	"time"
)

// monotonic fails: only Linux has systemd.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
