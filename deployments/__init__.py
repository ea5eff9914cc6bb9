"""When and where: schedules, work pools, images."""
