"""What has to be true before an order is sent."""
