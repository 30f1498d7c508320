package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// work is what a child does inside the lab.
func work(args []string) error {
	switch args[0] {
	case "serve":
		return serve()
	case "storm":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		rate, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return storm(args[2], args[4], count, rate)
	default:
		return fmt.Errorf("no such work: %s", args[0])
	}
}

func openClose(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// storm opens a file count times at a steady rate, in bursts of a millisecond, and meanwhile starts a
// program ten times a second. It prints the nanoseconds on the clock, and how many programs it started.
func storm(path, program string, count, rate int) error {
	started := make(chan int)
	end := make(chan struct{})
	go func() { started <- keepStarting(program, end) }()
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
	took := time.Since(begin)
	close(end)
	fmt.Println(took.Nanoseconds(), <-started)
	return nil
}

func keepStarting(program string, end <-chan struct{}) int {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-end:
			return n
		case <-tick.C:
		}
		if err := exec.Command(program).Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return n
		}
	}
}

func processorTime(whose ...int) time.Duration {
	var total time.Duration
	for _, who := range whose {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}
