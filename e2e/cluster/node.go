package cluster

import "context"

func (c *Cluster) startNode(ctx context.Context) error { return nil }
