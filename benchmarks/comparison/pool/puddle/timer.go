// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A sleep of microseconds for one goroutine at a time: a timerfd in the runtime's own poller. time.Sleep on an idle
// processor of the runtime counts whole milliseconds.
type timer struct {
	fd   uintptr
	file *os.File
}

func newTimer() *timer {
	const monotonic = 1
	fd, _, failed := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if failed != 0 {
		panic(failed)
	}
	return &timer{fd, os.NewFile(fd, "timer")}
}

func (t *timer) sleep(duration time.Duration) {
	if duration <= 0 {
		return
	}
	var once [2]syscall.Timespec // interval, value
	once[1] = syscall.NsecToTimespec(int64(duration))
	_, _, failed := syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, t.fd, 0, uintptr(unsafe.Pointer(&once)), 0, 0, 0)
	if failed != 0 {
		panic(failed)
	}
	var expired [8]byte
	if _, err := t.file.Read(expired[:]); err != nil {
		panic(err)
	}
}

func (t *timer) close() { t.file.Close() }
