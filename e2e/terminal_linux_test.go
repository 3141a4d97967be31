package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudoterminal: what is written to keyboard is
// typed on tty.
func openTerminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	raw, err := keyboard.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var unlocked error
	err = raw.Control(func(fd uintptr) {
		unlocked = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	})
	if err != nil || unlocked != nil {
		t.Fatal(err, unlocked)
	}
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

// onTerminal starts a shell script as the session of a terminal.
func onTerminal(t *testing.T, script string) (p *process, keyboard *os.File) {
	t.Helper()
	keyboard, tty := openTerminal(t)
	p = &process{name: "sh", ended: make(chan struct{}), cmd: exec.Command("sh", "-c", script)}
	p.said.more = make(chan struct{})
	p.cmd.Dir = ".."
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(keyboard); scanner.Scan(); { // until no process has the terminal
			p.said.add(strings.TrimSuffix(scanner.Text(), "\r"))
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGHUP)
		_ = p.wait(t)
	})
	return p, keyboard
}

func typeKeys(t *testing.T, keyboard *os.File, keys string) {
	t.Helper()
	if _, err := keyboard.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-C ends `make demo` with the totals and exit code 0. The shell that ran make has
// the terminal again.
func TestMakeDemoInterrupted(t *testing.T) {
	shell, keyboard := onTerminal(t, `make demo; echo "ended $?"; read -r line; echo "read $line"`)
	shell.says(t, demoCall)
	typeKeys(t, keyboard, "\x03")
	if code := shell.says(t, `^ended (\d+)$`); code != "0" {
		t.Errorf("make ended with %s; want 0:\n%s", code, &shell.said)
	}
	shell.says(t, `(totals)  `)
	typeKeys(t, keyboard, "more\n")
	shell.says(t, `^read (more)$`)
}

// SIGTERM to make reaches the demo, which prints the totals.
func TestMakeDemoTerminated(t *testing.T) {
	shell, _ := onTerminal(t, `exec make demo`)
	shell.says(t, demoCall)
	if err := shell.stop(t); err == nil {
		t.Error("make ended with 0; want an error, since the signal was for make")
	}
	shell.says(t, `(totals)  `)
}
