// SPDX-License-Identifier: Apache-2.0

// Some milliseconds of what brings a Go program onto its runtime's stack: allocation, garbage, maps and goroutines.
package main

import (
	"sort"
	"strconv"
)

type node struct {
	left, right *node
	name        string
}

func tree(depth int) *node {
	n := &node{name: strconv.Itoa(depth)}
	if depth > 0 {
		n.left, n.right = tree(depth-1), tree(depth-1)
	}
	return n
}

func count(n *node) int {
	if n == nil {
		return 0
	}
	return 1 + count(n.left) + count(n.right)
}

func round(i int) int {
	m := map[string]*node{}
	for j := 0; j < 200; j++ {
		m[strconv.Itoa(i*7919+j)] = &node{}
	}
	var names []string
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	done := make(chan int)
	for j := 0; j < 8; j++ {
		go func() { done <- len(make([]byte, 40000)) }()
	}
	n := count(tree(9)) + len(names)
	for j := 0; j < 8; j++ {
		n += <-done
	}
	return n
}

func main() {
	n := 0
	for i := 0; i < 60; i++ {
		n += round(i)
	}
	if n == 0 {
		panic(n)
	}
}
