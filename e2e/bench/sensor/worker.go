package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// work is what a child does inside the lab: count times the thing to be measured. It prints the
// nanoseconds of processor time, its own and its children's, that one of them took.
func work(args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var step func() error
	switch args[0] {
	case "call":
		step = func() error { unix.Getppid(); return nil }
	case "open":
		step = func() error { return openClose(args[2]) }
	case "exec":
		step = func() error { return exec.Command(args[2]).Run() }
	case "storm":
		rate, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return storm(args[2], count, rate)
	default:
		return fmt.Errorf("no such work: %s", args[0])
	}
	before := processorTime()
	for range count {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Println(float64(processorTime()-before) / float64(count))
	return nil
}

func openClose(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// storm opens a file count times at a steady rate, in bursts of a millisecond, and prints how many
// nanoseconds that took on the clock.
func storm(path string, count, rate int) error {
	begin := time.Now()
	for done := 0; done < count; {
		due := int(time.Since(begin).Seconds() * float64(rate))
		for ; done < due && done < count; done++ {
			if err := openClose(path); err != nil {
				return err
			}
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Println(time.Since(begin).Nanoseconds())
	return nil
}

func processorTime() time.Duration {
	var total time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}
