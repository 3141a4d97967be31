// Package sdnotify reports the state of a service of Type=notify or Type=notify-reload to systemd: see sd_notify(3).
// Without the environment variable NOTIFY_SOCKET its functions do nothing.
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// The states of a service.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// variable names the environment variable with the address of systemd's socket.
const variable = "NOTIFY_SOCKET"

// Reloading returns the state of a service that begins to load its configuration again. Ready ends it.
func Reloading() (string, error) {
	now, err := monotonic()
	if err != nil {
		return "", fmt.Errorf("sdnotify: the clock: %w", err)
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Microseconds()), nil
}

// Status returns the text for `systemctl status`, without its line ends.
func Status(text string) string { return "STATUS=" + strings.Join(strings.Fields(text), " ") }

// Send sends states in one message. The error says that systemd has not received them.
func Send(states ...string) error {
	name := os.Getenv(variable)
	if name == "" {
		return nil
	}
	if name[0] != '/' && name[0] != '@' {
		return fmt.Errorf("sdnotify: %s is %.100q; want the path of a socket, or @ and the name of an abstract one",
			variable, name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	_, err = conn.Write([]byte(strings.Join(states, "\n")))
	return errors.Join(err, conn.Close())
}
