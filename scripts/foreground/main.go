//go:build unix

// Command foreground runs a command as the foreground job of the terminal:
//
//	foreground COMMAND ARGS…
//
// make dies of SIGINT, even if the recipe handles the signal and succeeds. On Ctrl-C a
// terminal sends SIGINT to its foreground process group, which usually includes make.
// This program moves COMMAND into a separate process group and makes it the foreground
// group. Ctrl-C then reaches only COMMAND, and make sees the exit code of COMMAND.
//
// SIGINT, SIGTERM and SIGHUP that reach this program are passed on to COMMAND. COMMAND
// ignores Ctrl-Z, because no shell could resume it. If standard input is not a terminal,
// or if this program is a background job, it executes COMMAND in its place.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: foreground COMMAND ARGS…")
		os.Exit(2)
	}
	code, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "foreground:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run runs a command and returns its exit code, or 128 plus the number of the signal
// that killed it, as a shell does.
func run(name string, args []string) (int, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return 0, err
	}
	tty := int(os.Stdin.Fd())
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return 0, unix.Exec(path, append([]string{name}, args...), os.Environ())
	}
	signal.Ignore(unix.SIGTSTP, unix.SIGTTOU) // SIGTTOU: restoring the group sends it
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)

	cmd := exec.CommandContext(context.Background(), path, args...) //nolint:gosec // this program runs what it is given
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: tty}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // fails only if the command has ended
		}
	}()
	err = cmd.Wait()
	return exitCode(cmd.ProcessState), errors.Join(unlessExit(err), unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, group))
}

// unlessExit returns err, or nil if err only reports the exit code.
func unlessExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
