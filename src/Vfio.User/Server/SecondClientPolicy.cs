namespace Vfio.User;

/// <summary>What happens to a client that connects while another has the device.</summary>
public enum SecondClientPolicy
{
    /// <summary>Its connection is closed at once.</summary>
    Refuse,

    /// <summary>It waits, unanswered, until the first has gone.</summary>
    Wait,
}
