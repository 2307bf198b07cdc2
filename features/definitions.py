"""The features of "will this flight arrive late?": plain Feast; ``feature_view`` makes a view of a gold table.

A view's event time is its table's ``as_of``, and its ``ttl`` says for how long a value is worth using. The features of
``gold.windows`` are computed for the very moment that they are asked for.
"""

from datetime import timedelta

from feast import Entity, FeatureService, ValueType

from jobs.flights import gold
from lakehouse.features.view import feature_view

carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="An airline's code")
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="The airport left from")
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="The airport it is bound for")
aircraft = Entity(name="aircraft", join_keys=["tailnum"], value_type=ValueType.STRING, description="A tail number")

# Hourly rows, also for hours without landings: two days are for a carrier that ceased to fly.
carrier_delay = feature_view(gold.carrier_delay, entity=carrier, ttl=timedelta(days=2))
# One row a day.
route_delay = feature_view(gold.route_delay, entity=[origin, dest], ttl=timedelta(days=2))
# What an airport was like three hours ago says little.
origin_congestion = feature_view(gold.origin_congestion, entity=origin, ttl=timedelta(hours=3))
origin_weather = feature_view(gold.origin_weather, entity=origin, ttl=timedelta(hours=3))
# Delay wears off overnight; a week is ample.
aircraft_arrival = feature_view(gold.aircraft_arrival, entity=aircraft, ttl=timedelta(days=7))
# One row a year.
aircraft_age = feature_view(gold.aircraft, entity=aircraft, ttl=timedelta(days=366))

# Windows over events: they have a length of their own, and so no ttl.
origin_departures = feature_view(gold.origin_departures, entity=origin, ttl=None)

known_at_departure = [
    *(carrier_delay, route_delay, origin_congestion),
    *(origin_weather, aircraft_arrival, aircraft_age),
]
late_flight = FeatureService(
    name="late_flight",
    features=known_at_departure,
    description="Will this flight arrive more than 15 minutes late? Asked at its scheduled departure.",
)
late_flight_windows = FeatureService(
    name="late_flight_windows",
    features=[*known_at_departure, origin_departures],
    description="The same question, with what the origin's departures of the last hour and days say.",
)
