package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePorts returns ports of 127.0.0.1 on which nothing listens. They lie below the range from
// which the kernel gives ports to clients and to listeners on port 0, so that between this answer
// and its use only another cluster could take one, and that one draws at random too.
func FreePorts(count int) ([]int, error) {
	const first, last = 11000, 29000
	var ports []int
	for range 1000 {
		port := first + rand.IntN(last-first)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		// Held until all are chosen: none is chosen twice.
		defer func() { _ = l.Close() }()
		if ports = append(ports, port); len(ports) == count {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", count, first, last)
}
