package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// read measures the cold reading of two real images from a Docker archive against syft: every
// package found, nothing cached. scripts/bench-images makes the images.
func (b *bench) read(ctx context.Context) error {
	images := exec.CommandContext(ctx, filepath.Join("scripts", "bench-images"), b.cache)
	images.Stdout, images.Stderr = os.Stderr, os.Stderr
	if err := images.Run(); err != nil {
		return fmt.Errorf("make the images: %w", err)
	}
	for _, image := range []string{"debian", "node"} {
		if err := b.readImage(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) readImage(ctx context.Context, image string) error {
	archive := filepath.Join(b.cache, image+".tar")
	var ourMemory, theirMemory []float64
	ours := func(ctx context.Context, _ int) (float64, error) {
		wall, memory, err := b.timed(ctx, b.hullmark, "inspect", "-o", "json", archive)
		ourMemory = append(ourMemory, memory)
		return wall, err
	}
	peer := func(ctx context.Context, _ int) (float64, error) {
		wall, memory, err := b.timed(ctx, filepath.Join(b.tools(), "bin", "syft"), "scan", "docker-archive:"+archive, "-q", "-o", "json")
		theirMemory = append(theirMemory, memory)
		return wall, err
	}
	our, their, err := b.inTurn(ctx, ours, peer)
	if err != nil {
		return err
	}
	b.report.add(
		judge("cold reading of the "+image+" image", "s", target{ratio: 10, less: true}, our, their),
		judge("  its resident memory", "MB", target{atMost: 64, less: true}, ourMemory, theirMemory))
	return nil
}

// timed runs a program and returns its wall time in seconds and its most resident memory in MB.
func (b *bench) timed(ctx context.Context, program string, args ...string) (wall, memory float64, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "SYFT_CHECK_FOR_APP_UPDATE=false", "XDG_CACHE_HOME="+b.scratch)
	errors, err := os.Create(filepath.Join(b.scratch, "stderr"))
	if err != nil {
		return 0, 0, err
	}
	defer errors.Close()
	cmd.Stderr = errors
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, readFile(errors.Name()))
	}
	wall = time.Since(began).Seconds()
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return wall, float64(usage.Maxrss) * 1024 / 1e6, nil
}
